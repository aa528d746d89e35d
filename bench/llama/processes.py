"""What processes cost: from a server's start to its first token, and two models busy on the same cores."""

import asyncio
import time
from contextlib import AbstractContextManager
from pathlib import Path

from bench.asking import answered
from bench.client import ask, chat
from bench.comparison import Comparison, Found, Goal, Samples
from bench.llama.models import text_model
from bench.llama.servers import LLAMA_SERVER, available, options_of, peer
from bench.llama.setting import Sizes, sizes_of
from bench.rounds import in_turns
from bench.servers import OURS, Server, universal
from bench.setting import Setting
from bench.vocabulary import text

START_GOAL, PAIR_GOAL = 1.3, 0.8


def start(setting: Setting) -> Found:
    """From the start of a server's process to the first token of its model, the file in the page cache."""
    sizes, notes, found = sizes_of(setting), list[str](), list[Comparison]()
    names = [OURS, *([LLAMA_SERVER] if available(setting, LLAMA_SERVER, notes) else [])]
    for kind in sizes.files:
        file = text_model(setting.folder, sizes.shape, kind, setting.threads)
        runs = {name: lambda name=name, file=file: _start(_server(setting, sizes, name, file)) for name in names}
        # The round that warms up brings the file into the page cache.
        samples = in_turns(runs, setting.rounds)
        found.append(Comparison(kind, "first token", "ms", samples, (Goal(LLAMA_SERVER, most=START_GOAL),)))
    return Found(f"{sizes.shape}, asked as soon as the server listens", found, notes)


def _server(setting: Setting, sizes: Sizes, name: str, file: Path) -> AbstractContextManager[Server]:
    if name == OURS:
        # Asked right away, as a client would; the request waits for the model.
        return universal({"bench": (file, options_of(setting, sizes))}, wait=False)
    return peer(setting, sizes, name, file)


def _start(server: AbstractContextManager[Server]) -> float:
    began = time.perf_counter()
    with server as running:
        asyncio.run(ask(running.url, {**chat(text(1, 0), 1), "model": running.model}))
        return (time.perf_counter() - began) * 1e3


def pair(setting: Setting) -> Found:
    """Two models of one server busy at once, beside one of them alone."""
    sizes, found = sizes_of(setting), list[Comparison]()
    for kind in sizes.files:
        file = text_model(setting.folder, sizes.shape, kind, setting.threads)
        # Two names are two processes, which share nothing but the page cache.
        options = options_of(setting, sizes)
        # How many threads each gets is what is measured.
        del options["n_threads"]
        with universal(dict.fromkeys(("one", "two"), (file, options))) as one:
            for clients in sizes.clients[:2]:
                samples = asyncio.run(_pair(one, one._replace(model="two"), clients, sizes, setting.rounds))
                case = f"{kind}, clients of each: {clients}"
                found.append(
                    Comparison(case, "tokens a second", "tokens/s", samples, (Goal("alone", least=PAIR_GOAL),))
                )
    return Found(f"{sizes.shape}, threads left to the plugin", found)


async def _pair(one: Server, two: Server, clients: int, sizes: Sizes, rounds: int) -> Samples:
    """Return the rates of both and of one alone, in turns."""
    found: Samples = {"both together": [], "alone": []}
    for number in range(rounds + 1):
        alone = await _rate([one], clients, 2 * number, sizes)
        both = await _rate([one, two], clients, 2 * number + 1, sizes)
        for name, rate in (("both together", both), ("alone", alone)):
            # The first round warms up.
            found[name].extend([rate] if number else [])
    return found


async def _rate(servers: list[Server], clients: int, number: int, sizes: Sizes) -> float:
    began = time.perf_counter()
    found = await asyncio.gather(*(answered(server, clients, sizes.load, number) for server in servers))
    return sum(answer.tokens for answers in found for answer in answers) / (time.perf_counter() - began)
