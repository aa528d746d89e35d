"""What top-p without top-k costs a token at a large vocabulary, beside greedy."""

import asyncio
import statistics

from client import ask, chat
from library import Loop, entropy
from models import text_model
from report import Rounds, goal, heading, ratio, spread
from servers import LLAMA_SERVER, OURS, Server, every
from setting import Setting
from vocabulary import text

GOAL = 1.05
GREEDY = {"temperature": 0}
SAMPLED = {"temperature": 0.8, "top_p": 0.95, "top_k": 0, "min_p": 0, "seed": 1}


def measure(setting: Setting) -> None:
    """Compare the seconds a token of both kinds of sampling, for one client."""
    for kind in setting.files:
        file = text_model(setting.folder, setting.shape, kind, setting.threads)
        heading(f"temperature 0.8 and top_p 0.95 without top_k, {setting.shape} {kind}")
        _describe(Loop(file, setting.threads, 1, 512))
        with every(setting, file, peers=(LLAMA_SERVER,)) as servers:
            for server in servers:
                found = asyncio.run(_rounds(server, setting))
                slower = goal(ratio(found["sampled"], found["greedy"]), most=GOAL if server.name == OURS else None)
                greedy, sampled = (spread(found[name], "ms", 1e3) for name in ("greedy", "sampled"))
                print(f"  {server.name:<18}a token: greedy {greedy}, sampled {sampled}   {slower}")


async def _rounds(server: Server, setting: Setting) -> Rounds:
    """Let both kinds of sampling take turns, on the same prompts."""
    found: Rounds = {"greedy": [], "sampled": []}
    for number in range(setting.rounds + 1):
        for name, fields in (("greedy", GREEDY), ("sampled", SAMPLED)):
            body = {**chat(text(setting.prompt, number), setting.tokens), **fields, "model": server.model}
            answer = await ask(server.url, body)
            # The first round warms up.
            found[name].extend([answer.per_token] if number else [])
    return found


def _describe(loop: Loop) -> None:
    """Say how many bits the next token of this model has: a flat distribution makes top-p dear."""
    tokens, bits = loop.read([list(range(1000, 1064))]), []
    for _ in range(32):
        bits.append((entropy(loop.logits(-1)), entropy(loop.logits(-1), SAMPLED["temperature"])))
        tokens = loop.step(tokens)
    loop.close()
    plain, cooled = (statistics.mean(each) for each in zip(*bits, strict=True))
    print(f"  the next token has {plain:.1f} bits, {cooled:.1f} at temperature 0.8")
