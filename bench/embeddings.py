"""Vectors through the server beside infinity, and in one process beside sentence-transformers, on the real MiniLM."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from bench.client import post
from bench.comparison import Comparison, Found, Goal, Samples
from bench.models import minilm
from bench.peers import INFINITY, INFINITY_BF16, peer, there
from bench.rounds import in_turns, turns
from bench.servers import OURS, Server, universal
from bench.setting import Setting

PATH = "/v1/embeddings"
RATE_GOALS = {INFINITY: {1: 3.0, 32: 2.0}, INFINITY_BF16: {1: 1.2, 32: 1.2}}
LIBRARY = "sentence-transformers"
IN_PROCESS_GOALS = {"bfloat16": 3.5, "float32": 1.3}
COSINE = 0.9999

Vectors = Any
"""A numpy array of shape [texts, dimensions], each row of length 1."""


class Sizes(NamedTuple):
    """Numbers of clients, documents in a round for each of them, tokens of a document, documents in one process."""

    clients: tuple[int, ...] = (1, 32)
    documents: tuple[int, ...] = (64, 256)
    length: int = 128
    shortest: int = 8
    longest: int = 256
    together: int = 128


QUICK = Sizes((1, 4), (4, 8), 16, 4, 32, 8)


def measure(setting: Setting) -> Found:
    """Compare the servers, and then the libraries."""
    sizes, notes, folder = setting.sizes(Sizes(), QUICK), list[str](), minilm()
    words = vocabulary(folder)
    through_servers = asyncio.run(_servers(setting, sizes, folder, words, notes))
    in_process = list(_libraries(setting, sizes, folder, words))
    about = f"all-MiniLM-L6-v2, universal in bfloat16, a document of {sizes.length} tokens a request"
    return Found(about, [*through_servers, *in_process], notes)


def vocabulary(folder: Path) -> list[str]:
    """Return words that are one token each."""
    known: dict[str, int] = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    return sorted(word for word in known if word.isascii() and word.isalpha())


def documents(words: list[str], count: int, shortest: int, longest: int, seed: object) -> list[str]:
    """Return texts of lengths drawn evenly, in tokens with the special ones."""
    draw = random.Random(str(seed))
    return [" ".join(draw.choices(words, k=draw.randint(shortest, longest) - 2)) for _ in range(count)]


async def _servers(
    setting: Setting, sizes: Sizes, folder: Path, words: list[str], notes: list[str]
) -> list[Comparison]:
    options = {"device": setting.device, "threads": setting.threads, "dtype": "bfloat16"}
    with ExitStack() as stack:
        servers = {OURS: stack.enter_context(universal({"bench": (folder, options)}))}
        for name in there(setting, (INFINITY, INFINITY_BF16), notes):
            servers[name] = stack.enter_context(peer(setting, name, folder))
        found: dict[int, Samples] = {clients: {name: [] for name in servers} for clients in sizes.clients}
        vectors: dict[str, Vectors] = {}
        for number, name, server in turns(servers, setting.rounds):
            for clients, count in zip(sizes.clients, sizes.documents, strict=True):
                texts = documents(words, count, sizes.length, sizes.length, (number, clients))
                began = time.perf_counter()
                vectors[name] = await _asked(server, texts, clients)
                if number >= 0:
                    found[clients][name].append(count / (time.perf_counter() - began))
    return [*_rates(found), *_likeness(vectors)]


async def _asked(server: Server, texts: list[str], clients: int) -> Vectors:
    """Let every client send its next document as soon as it has the vector of the one before; return all vectors."""
    waiting, answers = iter(enumerate(texts)), dict[int, bytes]()

    async def client() -> None:
        for place, document in waiting:
            answers[place] = await post(server.url, {"input": document, "model": server.model}, PATH)

    await asyncio.gather(*(client() for _ in range(clients)))
    rows = [json.loads(answers[place])["data"][0]["embedding"] for place in range(len(texts))]
    return numpy.array(rows, "f4")


def _rates(found: Mapping[int, Samples]) -> Iterator[Comparison]:
    for clients, samples in found.items():
        goals = [Goal(name, least=least[clients]) for name, least in RATE_GOALS.items() if clients in least]
        case = f"{clients} clients" if clients > 1 else "1 client"
        yield Comparison(case, "documents a second", "docs/s", samples, tuple(goals))


def _likeness(vectors: Mapping[str, Vectors]) -> Iterator[Comparison]:
    """Compare the vectors of the last documents, which all servers were asked for."""
    if INFINITY in vectors:
        samples = {OURS: [worst_cosine(vectors[OURS], vectors[INFINITY])]}
        yield Comparison("servers", f"worst cosine to {INFINITY}", "", samples, (Goal(least=COSINE),))


def _libraries(setting: Setting, sizes: Sizes, folder: Path, words: list[str]) -> Iterator[Comparison]:
    """Compare the plugin and the library, each called directly with all documents at once."""
    contenders = {f"universal {dtype}": _ours(setting, folder, dtype) for dtype in IN_PROCESS_GOALS}
    contenders[LIBRARY] = _library(setting, folder)
    loads = {
        f"in process, {sizes.shortest} to {sizes.longest} tokens": (sizes.shortest, sizes.longest),
        f"in process, {sizes.length} tokens": (sizes.length, sizes.length),
    }
    for place, (case, (shortest, longest)) in enumerate(loads.items()):
        texts, vectors = documents(words, sizes.together, shortest, longest, case), dict[str, Vectors]()
        samples = in_turns({n: _timed(n, embed, texts, vectors) for n, embed in contenders.items()}, setting.rounds)
        for dtype, least in IN_PROCESS_GOALS.items():
            name = f"universal {dtype}"
            pair = {each: samples[each] for each in (name, LIBRARY)}
            # The goals are about texts of mixed lengths.
            yield Comparison(case, dtype, "docs/s", pair, () if place else (Goal(LIBRARY, least=least),))
            likeness = {name: [worst_cosine(vectors[name], vectors[LIBRARY])]}
            yield Comparison(case, "worst cosine", "", likeness, (Goal(least=COSINE),))


def _timed(
    name: str, embed: Callable[[list[str]], Vectors], texts: list[str], vectors: dict[str, Vectors]
) -> Callable[[], float]:
    def run() -> float:
        began = time.perf_counter()
        vectors[name] = embed(texts)
        return len(texts) / (time.perf_counter() - began)

    return run


def _ours(setting: Setting, folder: Path, dtype: str) -> Callable[[list[str]], Vectors]:
    from universal_core import EmbedRequest, ModelInfo, ModelRef
    from universal_text.encoder.model import EncoderModel
    from universal_text.encoder.options import EncoderOptions

    info = ModelInfo(id="all-MiniLM-L6-v2", ref=ModelRef.parse(str(folder)), source="bench", path=str(folder))
    model = EncoderModel(info, EncoderOptions(device=setting.device, dtype=dtype, threads=setting.threads))

    def embed(texts: list[str]) -> Vectors:
        (result,) = model.embed([EmbedRequest(input=tuple(texts))])
        return numpy.frombuffer(result.vectors, "<f4").reshape(len(texts), result.dimensions)

    return embed


def _library(setting: Setting, folder: Path) -> Callable[[list[str]], Vectors]:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device=setting.device, local_files_only=True)
    return lambda texts: model.encode(texts, batch_size=32, show_progress_bar=False)


def worst_cosine(vectors: Vectors, others: Vectors) -> float:
    """Return the least cosine between vectors of length 1 and the others' of the same texts."""
    return float((vectors * others).sum(axis=1).min())
