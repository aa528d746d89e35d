"""Many chats at once through the server, beside transformers' own server, with and without its continuous batching."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.asking import Load, Round, one_round, warm_up
from bench.comparison import Comparison, Found, Goal
from bench.models import chat_model
from bench.peers import CONTINUOUS, SERVE, peer, there
from bench.rounds import turns
from bench.servers import Options, Server, universal
from bench.setting import Setting

RATE_GOALS = {CONTINUOUS: {1: 1.1, 8: 1.4}, SERVE: {8: 3.0}}
FIRST_GOALS = {CONTINUOUS: {8: 0.5}}
ONE_BY_ONE_CLIENTS = 8
"""Where the server that answers one by one is measured: with fewer it is only slow, with more only slower."""


class Sizes(NamedTuple):
    """The model, how many clients there are, and what each asks for."""

    shape: str = "qwen3-0.6b"
    clients: tuple[int, ...] = (1, 8)
    requests: int = 2
    prompt: int = 128
    tokens: int = 48

    @property
    def load(self) -> Load:
        """What each client asks for."""
        return Load(self.requests, self.prompt, self.tokens)


CUDA = Sizes(clients=(1, 8, 64))
QUICK = Sizes("tiny", (1, 4), 1, 48, 8)

Rounds = dict[int, dict[str, list[Round]]]


def measure(setting: Setting) -> Found:
    """Compare the servers at each number of clients."""
    sizes, notes = setting.sizes(Sizes() if setting.device == "cpu" else CUDA, QUICK), list[str]()
    model = chat_model(setting.folder, sizes.shape)
    with running(setting, model, max(sizes.clients), notes) as servers:
        rounds = asyncio.run(_rounds(servers, sizes, setting.rounds))
    about = f"{sizes.shape}, {sizes.prompt} tokens in, {sizes.tokens} out, prompts included, greedy"
    return Found(about, [each for clients in sizes.clients for each in _compared(rounds[clients], clients)], notes)


@contextmanager
def running(
    setting: Setting, model: Path, slots: int, notes: list[str], peers: tuple[str, ...] = (CONTINUOUS, SERVE)
) -> Iterator[dict[str, Server]]:
    """Run our server and those peers that are there and wanted, each with the model loaded."""
    with ExitStack() as stack:
        ours = stack.enter_context(universal({"bench": (model, options(setting, slots))}))
        theirs = [stack.enter_context(peer(setting, name, model)) for name in there(setting, peers, notes)]
        yield {server.name: server for server in (ours, *theirs)}


def options(setting: Setting, slots: int) -> Options:
    """Return the options of universal-text that stand for the setting."""
    return {"device": setting.device, "threads": setting.threads, "slots": max(slots, 8)}


async def _rounds(servers: dict[str, Server], sizes: Sizes, rounds: int) -> Rounds:
    found: Rounds = {clients: {name: [] for name in servers} for clients in sizes.clients}
    for server in servers.values():
        await warm_up(server, sizes.load)
    for number, name, server in turns(servers, rounds, warm=0):
        for clients, measured in found.items():
            # One by one: what comes second is as slow as what came first.
            load = sizes.load._replace(requests=1) if name == SERVE else sizes.load
            if name != SERVE or clients == ONE_BY_ONE_CLIENTS:
                measured[name].append(await one_round(server, clients, load, number))
    return found


def _compared(measured: dict[str, list[Round]], clients: int) -> Iterator[Comparison]:
    case = f"{clients} clients" if clients > 1 else "1 client"
    there = {name: rounds for name, rounds in measured.items() if rounds}
    goals = [Goal(name, least=least[clients]) for name, least in RATE_GOALS.items() if clients in least]
    yield Comparison(
        case, "tokens a second", "tokens/s", {n: [r.rate for r in rs] for n, rs in there.items()}, tuple(goals)
    )
    goals = [Goal(name, most=most[clients]) for name, most in FIRST_GOALS.items() if clients in most]
    yield Comparison(case, "first token", "ms", {n: [r.first for r in rs] for n, rs in there.items()}, tuple(goals))
