"""What processes cost: from a server's start to its first token, and two models busy on the same cores."""

import asyncio
import time
from contextlib import AbstractContextManager
from pathlib import Path

from chats import answered
from client import ask, chat
from models import text_model
from report import Rounds, goal, heading, ratio, spread
from servers import LLAMA_SERVER, OURS, Server, available, options_of, peer, universal
from setting import Setting
from vocabulary import text

START_GOAL, PAIR_GOAL = 1.3, 0.8


def start(setting: Setting) -> None:
    """Measure the seconds from the start of a process to the first token of its model."""
    for kind in setting.files:
        heading(f"from a server's start to its first token, the file in the page cache, {setting.shape} {kind}")
        file = text_model(setting.folder, setting.shape, kind, setting.threads)
        names = [OURS]
        if LLAMA_SERVER in setting.peers and available(setting, LLAMA_SERVER):
            names.append(LLAMA_SERVER)
        found: Rounds = {name: [] for name in names}
        for number in range(setting.rounds + 1):
            for name in names:
                took = _start(_server(setting, name, file))
                # The first round brings the file into the page cache.
                found[name].extend([took] if number else [])
        for name, times in found.items():
            print(f"  {name:<18}{spread(times, 'ms', 1e3)}")
        if len(names) > 1:
            print(f"  to {LLAMA_SERVER}: {goal(ratio(found[OURS], found[LLAMA_SERVER]), most=START_GOAL)}")


def _server(setting: Setting, name: str, file: Path) -> AbstractContextManager[Server]:
    if name == OURS:
        # Asked right away, as a client would; the request waits for the model.
        return universal({"bench": (file, options_of(setting))}, wait=False)
    return peer(setting, name, file)


def _start(server: AbstractContextManager[Server]) -> float:
    began = time.perf_counter()
    with server as running:
        asyncio.run(ask(running.url, {**chat(text(1, 0), 1), "model": running.model}))
        return time.perf_counter() - began


def pair(setting: Setting) -> None:
    """Measure the tokens a second of two models of one server, busy at once, against one of them alone."""
    for kind in setting.files:
        heading(f"two models busy at once, {setting.shape} {kind}")
        file = text_model(setting.folder, setting.shape, kind, setting.threads)
        # Two names are two processes, which share nothing but the page cache.
        options = options_of(setting)
        # How many threads each gets is what is measured.
        del options["n_threads"]
        with universal(dict.fromkeys(("one", "two"), (file, options))) as one:
            for clients in setting.clients[:2]:
                alone, both = asyncio.run(_pair(one, one._replace(model="two"), clients, setting))
                shown = goal(ratio(both, alone), least=PAIR_GOAL)
                rates = f"alone {spread(alone, 'tokens/s')}, both together {spread(both, 'tokens/s')}"
                print(f"  clients of each: {clients:<3}{rates}   {shown}")


async def _pair(one: Server, two: Server, clients: int, setting: Setting) -> tuple[list[float], list[float]]:
    """Return the rates of one alone and of both, in turns."""
    alone, both = [], []
    for number in range(setting.rounds + 1):
        alone.append(await _rate([one], clients, 2 * number, setting))
        both.append(await _rate([one, two], clients, 2 * number + 1, setting))
    # The first round warms up.
    return alone[1:], both[1:]


async def _rate(servers: list[Server], clients: int, number: int, setting: Setting) -> float:
    began = time.perf_counter()
    found = await asyncio.gather(*(answered(server, clients, number, setting) for server in servers))
    return sum(answer.tokens for answers in found for answer in answers) / (time.perf_counter() - began)
