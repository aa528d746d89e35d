"""Embeddings: documents a second of many clients through the server, against the engine fed one large batch."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack

from client import post
from inside import embed, loaded
from models import embedding_model
from report import Rounds, goal, heading, ratio, spread
from servers import LLAMA_SERVER, OURS, Server, available, peer, universal
from setting import Setting
from vocabulary import text

CLIENTS, LENGTH = 32, 128
GOAL = 0.95
DIRECT = "engine, one batch"


def measure(setting: Setting) -> None:
    """Compare both, and llama-server where it is there."""
    heading(f"embeddings, MiniLM's shape in F16: {LENGTH} tokens a document, {CLIENTS} clients")
    found = asyncio.run(_rounds(setting))
    for name, rates in found.items():
        shown = goal(ratio(rates, found[DIRECT]), least=GOAL if name == OURS else None)
        print(f"  {name:<18}{spread(rates, 'documents/s')}   {shown}")


async def _rounds(setting: Setting) -> Rounds:
    """Let all take turns on the same documents."""
    file, options = embedding_model(setting.folder), {"n_threads": setting.threads}
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(loaded(file, "embed", options))
        servers = [stack.enter_context(universal({"bench": (file, options)}))]
        if LLAMA_SERVER in setting.peers and available(setting, LLAMA_SERVER):
            room = setting._replace(slots=CLIENTS, context=CLIENTS * LENGTH * 2)
            servers.append(stack.enter_context(peer(room, LLAMA_SERVER, file, "--embeddings")))
        found: Rounds = {name: [] for name in (DIRECT, *(server.name for server in servers))}
        for number in range(setting.rounds + 1):
            documents = [text(LENGTH - 2, (number, document)) for document in range(setting.documents)]
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
