"""Many chats at once: tokens a second and the time to the first token, beside other servers."""

import asyncio
import time
from typing import NamedTuple

from client import Answer, ask, chat
from models import text_model
from report import goal, heading, percentile, ratio, spread
from servers import LLAMA_CPP_SERVER, LLAMA_SERVER, OURS, Server, every
from setting import Setting
from vocabulary import TEMPLATE_TOKENS, text

RATE_GOALS = {LLAMA_SERVER: {1: 1.0, 8: 1.0, 16: 1.0}, LLAMA_CPP_SERVER: {1: 1.4, 8: 2.0, 16: 2.2}}
FIRST_GOALS = {LLAMA_SERVER: {1: 0.8, 8: 1.0, 16: 1.0}}


class Round(NamedTuple):
    """What one server reached in one round: tokens a second, and the seconds to the first token of each answer."""

    rate: float
    firsts: list[float]


Rounds = dict[str, dict[int, list[Round]]]


def measure(setting: Setting) -> None:
    """Compare the servers with each file and each number of clients."""
    for kind in setting.files:
        heading(f"chats, {setting.shape} {kind}: {setting.prompt} tokens in, {setting.tokens} out, prompts included")
        with every(setting, text_model(setting.folder, setting.shape, kind, setting.threads)) as servers:
            rounds = asyncio.run(_rounds(servers, setting))
        for clients in setting.clients:
            _report(rounds, clients)


async def _rounds(servers: list[Server], setting: Setting) -> Rounds:
    """Let the servers take turns, in another order every other round."""
    found: Rounds = {server.name: {clients: [] for clients in setting.clients} for server in servers}
    for server in servers:
        await ask(server.url, {**chat(text(setting.prompt, "warm up"), 8), "model": server.model})
    for number in range(setting.rounds):
        for clients in setting.clients:
            for server in servers if number % 2 == 0 else reversed(servers):
                found[server.name][clients].append(await _round(server, clients, number, setting))
    return found


async def _round(server: Server, clients: int, number: int, setting: Setting) -> Round:
    began = time.perf_counter()
    answers = await answered(server, clients, number, setting)
    seconds = time.perf_counter() - began
    return Round(sum(answer.tokens for answer in answers) / seconds, [answer.first for answer in answers])


async def answered(server: Server, clients: int, number: int, setting: Setting) -> list[Answer]:
    """Let each client ask again as soon as it is answered; no two prompts of a server are alike."""

    async def client(who: int) -> list[Answer]:
        answers = []
        for request in range(setting.requests):
            prompt = text(setting.prompt - TEMPLATE_TOKENS, (number, clients, who, request))
            answers.append(await ask(server.url, {**chat(prompt, setting.tokens), "model": server.model}))
        return answers

    return [answer for answers in await asyncio.gather(*map(client, range(clients))) for answer in answers]


def _report(rounds: Rounds, clients: int) -> None:
    print(f"{clients} clients" if clients > 1 else "1 client")
    for name, found in rounds.items():
        rates = spread([each.rate for each in found[clients]], "tokens/s")
        half, most = (_first(found[clients], share) * 1000 for share in (0.5, 0.95))
        print(f"  {name:<18}{rates}   first token: median {half:.0f} ms, 95 % {most:.0f} ms")
    ours = rounds[OURS][clients]
    for name in list(rounds)[1:]:
        theirs = rounds[name][clients]
        rate = ratio([each.rate for each in ours], [each.rate for each in theirs])
        half, most = (_first(ours, share) / _first(theirs, share) for share in (0.5, 0.95))
        late = FIRST_GOALS.get(name, {}).get(clients)
        shown = goal(rate, least=RATE_GOALS.get(name, {}).get(clients))
        print(f"  to {name}: tokens/s {shown}; first token: {goal(half, most=late)}, 95 % {goal(most, most=late)}")


def _first(rounds: list[Round], share: float) -> float:
    return percentile([first for each in rounds for first in each.firsts], share)
