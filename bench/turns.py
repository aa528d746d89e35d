"""The second turn of a long chat: how soon its first token comes beside the first turn's, which read all the text."""

import asyncio
from typing import NamedTuple

from bench.asking import Load, warm_up
from bench.chat import running
from bench.client import Body, ask, chat
from bench.comparison import Comparison, Found, Goal
from bench.models import chat_model
from bench.peers import CONTINUOUS
from bench.rounds import turns
from bench.servers import OURS, Server
from bench.setting import Setting
from bench.vocabulary import TEMPLATE_TOKENS, text

GOAL = 0.2
FIRST, SECOND = "first turn", "second turn"


class Sizes(NamedTuple):
    """The model, and the tokens of the first turn, of every later question, and of every answer."""

    shape: str = "qwen3-0.6b"
    prompt: int = 2000
    question: int = 16
    tokens: int = 16


QUICK = Sizes("tiny", 200, 8, 4)


def measure(setting: Setting) -> Found:
    """Measure both turns with our server, and with transformers' continuous batching."""
    sizes, notes = setting.sizes(Sizes(), QUICK), list[str]()
    model = chat_model(setting.folder, sizes.shape)
    with running(setting, model, 1, notes, (CONTINUOUS,)) as servers:
        found = asyncio.run(rounds_of(servers, sizes, setting.rounds))
    about = f"{sizes.shape}, a chat that begins with {sizes.prompt} tokens; milliseconds to the first token"
    return Found(about, [compared(name, times, GOAL if name == OURS else None) for name, times in found.items()], notes)


async def ask_twice(server: Server, sizes: Sizes, seed: object) -> tuple[float, float]:
    """Return the seconds to the first token of both turns."""
    body: Body = chat(text(sizes.prompt - TEMPLATE_TOKENS, (seed, "turn")), sizes.tokens)
    first = await ask(server.url, server.body(body))
    more = [{"role": "assistant", "content": first.text}, {"role": "user", "content": text(sizes.question, seed)}]
    second = await ask(server.url, server.body({**body, "messages": [*body["messages"], *more]}))
    return first.first, second.first


async def rounds_of(servers: dict[str, Server], sizes: Sizes, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return the seconds to the first token of both turns, by server and round."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in servers}
    for server in servers.values():
        await warm_up(server, Load(1, sizes.question + TEMPLATE_TOKENS, sizes.tokens))
    for number, name, server in turns(servers, rounds, warm=0):
        found[name].append(await ask_twice(server, sizes, number))
    return found


def compared(case: str, found: list[tuple[float, float]], most: float | None) -> Comparison:
    """Return what the second turn's first token takes beside the first turn's."""
    samples = {turn: [each[place] * 1e3 for each in found] for place, turn in ((1, SECOND), (0, FIRST))}
    return Comparison(case, "first token", "ms", samples, (Goal(FIRST, most=most),) if most else ())
