"""Prompt lookup against plain decoding: on text that repeats itself, where it helps most, and on text that does not."""

import asyncio

from client import COMPLETION, ask
from models import text_model
from report import Rounds, goal, heading, ratio, spread
from servers import options_of, universal
from setting import Setting
from vocabulary import text

LOOKUP_TOKENS = 8


def measure(setting: Setting) -> None:
    """Compare the seconds a token of both, for one client."""
    for kind in setting.files:
        heading(f"prompt lookup of {LOOKUP_TOKENS} tokens, {setting.shape} {kind}")
        for repeats in (True, False):
            found = _rounds(setting, kind, repeats=repeats)
            faster = goal(ratio(found["plain"], found["lookup"]), least=1.0 if repeats else None)
            plain, lookup = (spread(found[name], "ms", 1e3) for name in ("plain", "lookup"))
            print(f"  {'repetitive' if repeats else 'random':<12}a token: plain {plain}, lookup {lookup}   {faster}")


def _rounds(setting: Setting, kind: str, *, repeats: bool) -> Rounds:
    file = text_model(setting.folder, setting.shape, kind, setting.threads, repeats=repeats)
    plain = options_of(setting)
    models = {"plain": (file, plain), "lookup": (file, {**plain, "lookup_tokens": LOOKUP_TOKENS})}
    found: Rounds = {name: [] for name in models}
    with universal(models) as server:
        for number in range(setting.rounds + 1):
            for name, values in found.items():
                body = {"model": name, "prompt": text(setting.prompt, number), "temperature": 0}
                answer = asyncio.run(ask(server.url, {**body, "max_tokens": setting.tokens}, COMPLETION))
                # The first round warms up.
                values.extend([answer.per_token] if number else [])
    return found
