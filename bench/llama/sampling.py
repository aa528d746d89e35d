"""What top-p without top-k costs a token at a large vocabulary, beside greedy."""

import asyncio
import statistics

from bench.client import ask, chat
from bench.comparison import Comparison, Found, Goal, Samples
from bench.llama.library import Loop, entropy
from bench.llama.models import text_model
from bench.llama.servers import LLAMA_SERVER, every
from bench.llama.setting import Sizes, sizes_of
from bench.rounds import turns
from bench.servers import OURS, Server
from bench.setting import Setting
from bench.vocabulary import text

GOAL = 1.05
GREEDY = {"temperature": 0}
SAMPLED = {"temperature": 0.8, "top_p": 0.95, "top_k": 0, "min_p": 0, "seed": 1}


def measure(setting: Setting) -> Found:
    """Compare the time a token of both kinds of sampling, for one client."""
    sizes, notes, found = sizes_of(setting), list[str](), list[Comparison]()
    for kind in sizes.files:
        file = text_model(setting.folder, sizes.shape, kind, setting.threads)
        notes.append(f"{kind}: {_described(Loop(file, setting.threads, 1, 512))}")
        with every(setting, sizes, file, notes, (LLAMA_SERVER,)) as servers:
            for name, server in servers.items():
                samples = asyncio.run(_rounds(server, sizes, setting.rounds))
                goals = (Goal("greedy", most=GOAL),) if name == OURS else ()
                found.append(Comparison(f"{kind}, {name}", "a token", "ms", samples, goals))
    return Found(f"{sizes.shape}, temperature 0.8 and top_p 0.95 without top_k, one client", found, notes)


async def _rounds(server: Server, sizes: Sizes, rounds: int) -> Samples:
    """Let both kinds of sampling take turns, on the same prompts."""
    kinds = {"sampled": SAMPLED, "greedy": GREEDY}
    found: Samples = {name: [] for name in kinds}
    for number, name, fields in turns(kinds, rounds):
        body = {**chat(text(sizes.prompt, number), sizes.tokens), **fields, "model": server.model}
        answer = await ask(server.url, body)
        found[name].extend([answer.per_token * 1e3] if number >= 0 else [])
    return found


def _described(loop: Loop) -> str:
    """Say how many bits the next token of a model has: a flat distribution makes top-p dear."""
    tokens, bits = loop.read([list(range(1000, 1064))]), []
    for _ in range(32):
        bits.append((entropy(loop.logits(-1)), entropy(loop.logits(-1), SAMPLED["temperature"])))
        tokens = loop.step(tokens)
    loop.close()
    plain, cooled = (statistics.mean(each) for each in zip(*bits, strict=True))
    return f"the next token has {plain:.1f} bits, {cooled:.1f} at temperature 0.8"
