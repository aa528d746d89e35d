"""Many chats at once: tokens a second and the time to the first token, beside other servers."""

import asyncio
from collections.abc import Iterator

from bench.asking import Round, one_round, warm_up
from bench.comparison import Comparison, Found, Goal, percentile
from bench.llama.models import text_model
from bench.llama.servers import LLAMA_CPP_SERVER, LLAMA_SERVER, every
from bench.llama.setting import Sizes, sizes_of
from bench.rounds import turns
from bench.servers import Server
from bench.setting import Setting

RATE_GOALS = {LLAMA_SERVER: {1: 1.0, 8: 1.0, 16: 1.0}, LLAMA_CPP_SERVER: {1: 1.4, 8: 2.0, 16: 2.2}}
FIRST_GOALS = {1: 0.8, 8: 1.0, 16: 1.0}
"""Of llama-server's time to the first token, in the median and in 95 of 100."""

Rounds = dict[int, dict[str, list[Round]]]


def measure(setting: Setting) -> Found:
    """Compare the servers with each file and each number of clients."""
    sizes, notes, found = sizes_of(setting), list[str](), list[Comparison]()
    for kind in sizes.files:
        file = text_model(setting.folder, sizes.shape, kind, setting.threads)
        with every(setting, sizes, file, notes) as servers:
            rounds = asyncio.run(_rounds(servers, sizes, setting.rounds))
        for clients in sizes.clients:
            found += _compared(f"{kind}, {clients} at once", rounds[clients], clients)
    about = f"{sizes.shape}, {sizes.prompt} tokens in, {sizes.tokens} out, prompts included, greedy"
    return Found(about, found, notes)


async def _rounds(servers: dict[str, Server], sizes: Sizes, rounds: int) -> Rounds:
    found: Rounds = {clients: {name: [] for name in servers} for clients in sizes.clients}
    for server in servers.values():
        await warm_up(server, sizes.load)
    for number, name, server in turns(servers, rounds, warm=0):
        for clients, measured in found.items():
            measured[name].append(await one_round(server, clients, sizes.load, number))
    return found


def _compared(case: str, measured: dict[str, list[Round]], clients: int) -> Iterator[Comparison]:
    goals = tuple(Goal(name, least=least[clients]) for name, least in RATE_GOALS.items() if clients in least)
    rates = {name: [each.rate for each in rounds] for name, rounds in measured.items()}
    yield Comparison(case, "tokens a second", "tokens/s", rates, goals)
    late = (Goal(LLAMA_SERVER, most=FIRST_GOALS[clients]),) if clients in FIRST_GOALS else ()
    for share, words in ((0.5, "first token"), (0.95, "first token, 95 of 100")):
        firsts = {name: [percentile(each.firsts, share) * 1e3 for each in rounds] for name, rounds in measured.items()}
        yield Comparison(case, words, "ms", firsts, late)
