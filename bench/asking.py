"""Clients that chat: some at once, each asking again as soon as it is answered, and no two prompts alike."""

import asyncio
import time
from typing import NamedTuple

from bench.client import Answer, ask, chat
from bench.comparison import median
from bench.servers import Server
from bench.vocabulary import TEMPLATE_TOKENS, text


class Load(NamedTuple):
    """What each client asks for: how often, and tokens of a prompt and of an answer."""

    requests: int
    prompt: int
    tokens: int


class Round(NamedTuple):
    """What one server reached in one round: tokens a second, and the seconds to the first token of each answer."""

    rate: float
    firsts: list[float]

    @property
    def first(self) -> float:
        """Milliseconds to the first token, in the median of the answers."""
        return median(self.firsts) * 1e3


async def one_round(server: Server, clients: int, load: Load, seed: object) -> Round:
    """Let some clients ask a server, and say how fast it was."""
    began = time.perf_counter()
    answers = await answered(server, clients, load, seed)
    seconds = time.perf_counter() - began
    return Round(sum(answer.tokens for answer in answers) / seconds, [answer.first for answer in answers])


async def answered(server: Server, clients: int, load: Load, seed: object) -> list[Answer]:
    """Return all answers; the prompts are the same for every server that is asked with the same seed."""

    async def client(who: int) -> list[Answer]:
        answers = []
        for request in range(load.requests):
            prompt = text(load.prompt - TEMPLATE_TOKENS, (seed, clients, who, request))
            answers.append(await ask(server.url, server.body(chat(prompt, load.tokens))))
        return answers

    return [answer for answers in await asyncio.gather(*map(client, range(clients))) for answer in answers]


async def warm_up(server: Server, load: Load) -> None:
    """Let a server answer once, so that what it prepares at its first answer is prepared."""
    await ask(server.url, server.body(chat(text(load.prompt, "warm up"), 8)))
