"""What one user notices: a stream while somebody's long prompt arrives, and the second turn of a conversation."""

import asyncio
import itertools
import statistics
from contextlib import aclosing
from typing import NamedTuple

from client import Body, ask, chat, read, stream
from models import text_model
from report import goal, heading, percentile, ratio, spread
from servers import LLAMA_SERVER, OURS, Server, every
from setting import Setting
from vocabulary import TEMPLATE_TOKENS, text

BESIDE = (LLAMA_SERVER,)
STALL_GOAL, TURN_GOAL = 2.5, 0.15
RUNNING_TOKENS = 3500
"""Enough for a server that reads a long prompt a few tokens at a step; both fit into the context together."""

NORMAL_LINES = 64
"""Lines of the running stream before the long prompt is sent: a token is one line, and an empty one."""

TURN_TOKENS = 16


class Stall(NamedTuple):
    """Seconds between tokens before the long prompt was sent and until its first token came; seconds until that."""

    alone: list[float]
    beside: list[float]
    firsts: list[float]


def stall(setting: Setting) -> None:
    """Measure the time between the tokens of a running stream, alone and while a long prompt arrives."""
    for kind in setting.files:
        heading(f"a running stream while a prompt of {setting.long_prompt} tokens arrives, {setting.shape} {kind}")
        with every(setting, text_model(setting.folder, setting.shape, kind, setting.threads), peers=BESIDE) as servers:
            found = {server.name: Stall([], [], []) for server in servers}
            for number in range(setting.rounds):
                for server in servers:
                    asyncio.run(_stall(server, number, setting, found[server.name]))
        for name, (alone, beside, firsts) in found.items():
            print(f"  {name:<18}{'alone':<24}{_described(alone)}")
            print(f"  {'':<18}{'beside the long prompt':<24}{_described(beside)}")
            most = STALL_GOAL if name == OURS else None
            mean = goal(statistics.mean(beside) / statistics.mean(alone), most=most)
            half = goal(statistics.median(beside) / statistics.median(alone), most=most)
            print(f"  {'':<18}{'slower by':<24}mean {mean}, median {half}")
            print(f"  {'':<18}{'the long prompt itself':<24}first token after {statistics.median(firsts):.1f} s")


async def _stall(server: Server, number: int, setting: Setting, found: Stall) -> None:
    """Add what one stream and one long prompt beside it took."""
    lines, asking = [], None
    body = _body(server, text(setting.prompt, (number, "running")), RUNNING_TOKENS)
    async with aclosing(stream(server.url, {**body, "stream": True})) as running:
        async for line in running:
            lines.append(line)
            if len(lines) == NORMAL_LINES:
                # One token: what counts is the prompt.
                long = _body(server, text(setting.long_prompt, (number, "long")), 1)
                asking = asyncio.create_task(ask(server.url, long))
            if asking and asking.done():
                break
    pieces, finish = read(lines)
    if asking is None or finish is not None:
        raise RuntimeError(f"the stream of {server.name} ended with {finish!r} before the long prompt was read")
    sent, answered = (await asking).asked, (await asking).arrivals[0]
    alone = [moment for moment, _ in pieces if moment <= sent]
    beside = [moment for moment, _ in pieces if sent < moment <= answered]
    # A token that did not come until the prompt was read counts with the time it was late by then.
    found.alone.extend(_gaps(alone))
    found.beside.extend(_gaps([alone[-1], *beside, answered]))
    found.firsts.append(answered - sent)


def _gaps(moments: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(moments)]


def _described(gaps: list[float]) -> str:
    mean, half, most = statistics.mean(gaps), statistics.median(gaps), percentile(gaps, 0.95)
    values = f"mean {mean * 1e3:7.1f}, median {half * 1e3:7.1f}, 95 % {most * 1e3:7.1f}, longest {max(gaps) * 1e3:7.1f}"
    return f"{values} ms between tokens ({len(gaps)})"


def turns(setting: Setting) -> None:
    """Measure the time to the first token of the first and of the second turn of long conversations."""
    for kind in setting.files:
        heading(f"the second turn of a conversation of {setting.turn_prompt} tokens, {setting.shape} {kind}")
        with every(setting, text_model(setting.folder, setting.shape, kind, setting.threads), peers=BESIDE) as servers:
            firsts: dict[str, list[tuple[float, float]]] = {server.name: [] for server in servers}
            for number in range(setting.rounds):
                for server in servers:
                    firsts[server.name].append(asyncio.run(_turns(server, number, setting)))
        for name, found in firsts.items():
            first, second = ([each[turn] for each in found] for turn in (0, 1))
            shown = goal(ratio(second, first), most=TURN_GOAL if name == OURS else None)
            print(f"  {name:<18}first {spread(first, 'ms', 1e3)}, second {spread(second, 'ms', 1e3)}   {shown}")


async def _turns(server: Server, number: int, setting: Setting) -> tuple[float, float]:
    """Return the seconds to the first token of both turns; the second question is short."""
    body = _body(server, text(setting.turn_prompt - TEMPLATE_TOKENS, (number, "turn")), TURN_TOKENS)
    first = await ask(server.url, body)
    more = [{"role": "assistant", "content": first.text}, {"role": "user", "content": text(TURN_TOKENS, number)}]
    second = await ask(server.url, {**body, "messages": [*body["messages"], *more]})
    return first.first, second.first


def _body(server: Server, prompt: str, tokens: int) -> Body:
    return {**chat(prompt, tokens), "model": server.model}
