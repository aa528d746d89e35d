"""What one user notices: a stream while somebody's long prompt arrives, and the second turn of a conversation."""

import asyncio
import itertools
import statistics
from contextlib import aclosing
from typing import NamedTuple

from bench import turns as long_chats
from bench.client import Body, ask, chat, read, stream
from bench.comparison import Comparison, Found, Goal
from bench.llama.models import text_model
from bench.llama.servers import LLAMA_SERVER, every
from bench.llama.setting import Sizes, sizes_of
from bench.servers import OURS, Server
from bench.setting import Setting
from bench.vocabulary import text

BESIDE = (LLAMA_SERVER,)
STALL_GOAL, TURN_GOAL = 2.5, 0.15
RUNNING_TOKENS = 3500
"""Enough for a server that reads a long prompt a few tokens at a step; both fit into the context together."""

NORMAL_LINES = 64
"""Lines of the running stream before the long prompt is sent: a token is one line, and an empty one."""


class Stall(NamedTuple):
    """A sample a round: mean ms between tokens before the long prompt was sent, and until its first token came."""

    alone: list[float]
    beside: list[float]


def stall(setting: Setting) -> Found:
    """A running stream while a long prompt arrives: the time between its tokens beside what it was before."""
    sizes, notes, found = sizes_of(setting), list[str](), list[Comparison]()
    for kind in sizes.files:
        file = text_model(setting.folder, sizes.shape, kind, setting.threads)
        with every(setting, sizes, file, notes, BESIDE) as servers:
            stalls = {name: Stall([], []) for name in servers}
            for number in range(setting.rounds):
                for name, server in servers.items():
                    asyncio.run(_stall(server, number, sizes, stalls[name]))
        for name, (alone, beside) in stalls.items():
            samples = {"beside the prompt": beside, "alone": alone}
            goals = (Goal("alone", most=STALL_GOAL),) if name == OURS else ()
            found.append(Comparison(f"{kind}, {name}", "between tokens", "ms", samples, goals))
    return Found(f"{sizes.shape}, a prompt of {sizes.long_prompt} tokens; means of a stream", found, notes)


async def _stall(server: Server, number: int, sizes: Sizes, found: Stall) -> None:
    """Add what one stream and one long prompt beside it took."""
    lines, asking = [], None
    body = _body(server, text(sizes.prompt, (number, "running")), RUNNING_TOKENS)
    async with aclosing(stream(server.url, {**body, "stream": True})) as running:
        async for line in running:
            lines.append(line)
            if len(lines) == NORMAL_LINES:
                # One token: what counts is the prompt.
                long = _body(server, text(sizes.long_prompt, (number, "long")), 1)
                asking = asyncio.create_task(ask(server.url, long))
            if asking and asking.done():
                break
    pieces, finish, _ = read(lines)
    if asking is None or finish is not None:
        raise RuntimeError(f"the stream of {server.name} ended with {finish!r} before the long prompt was read")
    sent, answered = (await asking).asked, (await asking).arrivals[0]
    alone = [moment for moment, _ in pieces if moment <= sent]
    beside = [moment for moment, _ in pieces if sent < moment <= answered]
    # A token that did not come until the prompt was read counts with the time it was late by then.
    found.alone.append(statistics.mean(_gaps(alone)) * 1e3)
    found.beside.append(statistics.mean(_gaps([alone[-1], *beside, answered])) * 1e3)


def _gaps(moments: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(moments)]


def turns(setting: Setting) -> Found:
    """The second turn of a long chat: how soon its first token comes beside the first turn's."""
    sizes, notes, found = sizes_of(setting), list[str](), list[Comparison]()
    asked = long_chats.Sizes(sizes.shape, sizes.turn_prompt)
    for kind in sizes.files:
        file = text_model(setting.folder, sizes.shape, kind, setting.threads)
        with every(setting, sizes, file, notes, BESIDE) as servers:
            firsts = asyncio.run(long_chats.rounds_of(servers, asked, setting.rounds))
        for name, times in firsts.items():
            goal = TURN_GOAL if name == OURS else None
            found.append(long_chats.compared(f"{kind}, {name}", times, goal))
    return Found(f"{sizes.shape}, a chat that begins with {sizes.turn_prompt} tokens", found, notes)


def _body(server: Server, prompt: str, tokens: int) -> Body:
    return {**chat(prompt, tokens), "model": server.model}
