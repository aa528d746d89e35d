"""Embeddings: documents a second of many clients through the server, against the engine fed one large batch."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack

from bench.client import post
from bench.comparison import Comparison, Found, Goal, Samples
from bench.llama.inside import embed, loaded
from bench.llama.models import embedding_model
from bench.llama.servers import LLAMA_SERVER, available, peer
from bench.llama.setting import Sizes, sizes_of
from bench.servers import OURS, Server, universal
from bench.setting import Setting
from bench.vocabulary import text

CLIENTS, LENGTH = 32, 128
GOAL = 0.95
DIRECT = "engine, one batch"


def measure(setting: Setting) -> Found:
    """Compare both, and llama-server where it is there."""
    sizes, notes = sizes_of(setting), list[str]()
    samples = asyncio.run(_rounds(setting, sizes, notes))
    about = f"MiniLM's shape in F16, {LENGTH} tokens a document, {CLIENTS} clients"
    compared = Comparison("documents", "documents a second", "docs/s", samples, (Goal(DIRECT, least=GOAL),))
    return Found(about, [compared], notes)


async def _rounds(setting: Setting, sizes: Sizes, notes: list[str]) -> Samples:
    """Let all take turns on the same documents."""
    file, options = embedding_model(setting.folder), {"n_threads": setting.threads}
    async with AsyncExitStack() as stack:
        servers = [stack.enter_context(universal({"bench": (file, options)}))]
        model = await stack.enter_async_context(loaded(file, "embed", options))
        if available(setting, LLAMA_SERVER, notes):
            room = sizes._replace(slots=CLIENTS, context=CLIENTS * LENGTH * 2)
            servers.append(stack.enter_context(peer(setting, room, LLAMA_SERVER, file, "--embeddings")))
        found: Samples = {name: [] for name in (OURS, DIRECT, *(server.name for server in servers[1:]))}
        for number in range(setting.rounds + 1):
            documents = [text(LENGTH - 2, (number, document)) for document in range(sizes.documents)]
            rates = {DIRECT: await _rate(embed(model, tuple(documents)), len(documents))}
            for server in servers:
                rates[server.name] = await _rate(_served(server, documents), len(documents))
            for name, rate in rates.items():
                # The first round warms up.
                found[name].extend([rate] if number else [])
    return found


async def _served(server: Server, documents: list[str]) -> None:
    """Let every client send its next document as soon as it has the vector of the one before."""
    waiting = iter(documents)

    async def client() -> None:
        for document in waiting:
            await post(server.url, {"model": server.model, "input": document}, "/v1/embeddings")

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def _rate(work: Awaitable[None], documents: int) -> float:
    began = time.perf_counter()
    await work
    return documents / (time.perf_counter() - began)
