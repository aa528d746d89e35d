"""``universal bench MODEL``."""

from collections.abc import Iterable, Sequence
from typing import Any

import click

from universal_core.cli.client import Client, client_options
from universal_core.cli.completion import complete_models
from universal_core.cli.fields import set_option
from universal_core.cli.loading import load_model
from universal_core.cli.measuring import Load, Round, measure, warmed
from universal_core.cli.output import Output, Tell
from universal_core.hookspecs import hookimpl

HEADINGS = (*("CLIENTS", "REQUESTS", "TOKENS/S", "FIRST TOKEN p50", "p95", "PER TOKEN p50", "p95", "READ", "WRITTEN"),)


def _numbers(context: click.Context, parameter: click.Parameter, text: str) -> list[int]:
    try:
        numbers = [int(number) for number in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise click.BadParameter(f"expected numbers such as 1,4,8, got {text!r}")
    return numbers


@click.command("bench")
@click.argument("model", shell_complete=complete_models)
@click.option(
    "--clients",
    metavar="LIST",
    default="1,4,8",
    callback=_numbers,
    help="How many clients ask at once, in turn: 1,4,8 unless given.",
)
@click.option("--requests", type=click.IntRange(1), default=4, help="Requests of each client; 4 unless given.")
@click.option("--prompt", type=click.IntRange(1), default=128, help="Tokens of a prompt, about; 128 unless given.")
@click.option("--tokens", type=click.IntRange(1), default=64, help="Most tokens of an answer; 64 unless given.")
@set_option("model", "messages", "stream", "stream_options", "max_tokens", "n")
@client_options
def bench_command(
    client: Client,
    output: Output,
    model: str,
    clients: list[int],
    requests: int,
    prompt: int,
    tokens: int,
    fields: dict[str, Any],
) -> None:
    """Measure how fast the server writes with MODEL, from this machine and at this moment.

    No two prompts are alike, and answers are greedy unless --set temperature says otherwise. Times are in
    milliseconds: to the first token, and between two tokens of an answer.

    \b
    Example:
      universal bench Qwen/Qwen3-0.6B
      universal bench Qwen/Qwen3-0.6B --clients 1,16,64 --prompt 1000 --tokens 200
    """
    load_model(client, output, model, "chat")
    with output.progress() as tell:
        tell("warming up", None)
        load = warmed(client, Load(model, prompt, tokens, fields))
        rounds = [_round(client, load, number, requests, tell) for number in clients]
    for found in rounds:
        if not found.samples:
            raise found.failures[0]
        if found.failures:
            output.note(
                f"{len(found.failures)} requests of {found.clients} clients failed: {found.failures[0].message}"
            )
    if output.json:
        output.value({"model": model, "url": client.url, "rounds": [as_json(found) for found in rounds]})
    else:
        output.table(HEADINGS, [as_row(found) for found in rounds], right=HEADINGS)


def _round(client: Client, load: Load, clients: int, requests: int, tell: Tell) -> Round:
    total = clients * requests
    return measure(
        client, load, clients, requests, lambda done: tell(f"{clients} at once: {done} of {total}", done / total)
    )


def as_json(found: Round) -> dict[str, Any]:
    """Return the figures of a round; times are in seconds."""
    return {
        "clients": found.clients,
        "requests": len(found.samples),
        "failed": len(found.failures),
        "seconds": found.seconds,
        "tokens_per_second": found.rate,
        "first_token": _shares([sample.first for sample in found.samples]),
        "per_token": _shares([each for sample in found.samples if (each := sample.per_token) is not None]),
        "prompt_tokens": sum(sample.read for sample in found.samples),
        "completion_tokens": sum(sample.written for sample in found.samples),
    }


def as_row(found: Round) -> list[str]:
    """Return the figures of a round as a row of the table."""
    figures = as_json(found)
    times = [figures[name][share] for name in ("first_token", "per_token") for share in ("p50", "p95")]
    return [
        str(found.clients),
        str(figures["requests"]),
        f"{found.rate:.1f}",
        *("-" if seconds is None else f"{seconds * 1e3:.1f}" for seconds in times),
        *(str(figures[name]) for name in ("prompt_tokens", "completion_tokens")),
    ]


def _shares(values: Sequence[float]) -> dict[str, float | None]:
    """Return the values that half and nineteen in twenty are not above, by the nearest rank."""
    ordered = sorted(values)
    return {f"p{share}": ordered[-(-len(ordered) * share // 100) - 1] if ordered else None for share in (50, 95)}


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [bench_command]
