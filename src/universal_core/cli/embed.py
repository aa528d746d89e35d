"""``universal embed MODEL TEXT...``."""

from collections.abc import Iterable, Sequence
from typing import Any

import click

from universal_core.cli.client import Client, client_options
from universal_core.cli.completion import complete_models
from universal_core.cli.fields import set_option
from universal_core.cli.output import Output
from universal_core.cli.pipe import piped_text
from universal_core.hookspecs import hookimpl

MOST_AT_ONCE = 256
"""Texts in one request; more are sent in several."""

SHOWN_VALUES, SHOWN_CHARACTERS = 4, 40


@click.command("embed")
@click.argument("model", shell_complete=complete_models)
@click.argument("texts", nargs=-1)
@set_option("model", "input", "encoding_format")
@client_options
def embed_command(client: Client, output: Output, model: str, texts: Sequence[str], fields: dict[str, Any]) -> None:
    """Turn each of TEXTS, or each line that is piped in, into a vector.

    Shown are the dimensions and the first values; --json prints all.

    \b
    Example:
      universal embed BAAI/bge-small-en-v1.5 "a river" "a stream"
      universal embed BAAI/bge-small-en-v1.5 --json < lines.txt > vectors.json
    """
    texts = texts or [line for line in (piped_text() or "").splitlines() if line.strip()]
    if not texts:
        raise click.UsageError("there is nothing to embed: give TEXTS, or pipe in lines")
    vectors, tokens = [], 0
    with output.progress() as tell:
        for start in range(0, len(texts), MOST_AT_ONCE):
            batch = list(texts[start : start + MOST_AT_ONCE])
            answer = client.post("/v1/embeddings", {**fields, "model": model, "input": batch})
            vectors += [item["embedding"] for item in sorted(answer["data"], key=lambda item: item["index"])]
            tokens += answer["usage"]["total_tokens"]
            tell(f"{len(vectors)} of {len(texts)} texts", len(vectors) / len(texts))
    if output.json:
        data = [{"index": at, "embedding": vector} for at, vector in enumerate(vectors)]
        output.value({"model": model, "data": data, "usage": {"total_tokens": tokens}})
        return
    rows = [(_short(text), str(len(vector)), _first(vector)) for text, vector in zip(texts, vectors, strict=True)]
    output.table(("TEXT", "DIMENSIONS", "FIRST VALUES"), rows, right=("DIMENSIONS",))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _first(vector: Sequence[float]) -> str:
    values = " ".join(f"{value:.4f}" for value in vector[:SHOWN_VALUES])
    return values + (" …" if len(vector) > SHOWN_VALUES else "")


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [embed_command]
