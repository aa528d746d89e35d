"""Prompt lookup against plain decoding: on text that repeats itself, where it helps most, and on text that does not."""

import asyncio

from bench.client import COMPLETION, ask
from bench.comparison import Comparison, Found, Goal, Samples
from bench.llama.models import text_model
from bench.llama.servers import options_of
from bench.llama.setting import Sizes, sizes_of
from bench.rounds import turns
from bench.servers import universal
from bench.setting import Setting
from bench.vocabulary import text

LOOKUP_TOKENS = 8


def measure(setting: Setting) -> Found:
    """Compare the time a token of both, for one client."""
    sizes, found = sizes_of(setting), list[Comparison]()
    for kind in sizes.files:
        for repeats in (True, False):
            samples = _rounds(setting, sizes, kind, repeats=repeats)
            case = f"{kind}, {'repetitive' if repeats else 'random'} text"
            found.append(Comparison(case, "a token", "ms", samples, (Goal("plain", most=1.0),) if repeats else ()))
    return Found(f"{sizes.shape}, lookup of {LOOKUP_TOKENS} tokens, one client", found)


def _rounds(setting: Setting, sizes: Sizes, kind: str, *, repeats: bool) -> Samples:
    file = text_model(setting.folder, sizes.shape, kind, setting.threads, repeats=repeats)
    plain = options_of(setting, sizes)
    models = {"lookup": (file, {**plain, "lookup_tokens": LOOKUP_TOKENS}), "plain": (file, plain)}
    found: Samples = {name: [] for name in models}
    with universal(models) as server:
        for number, name, _ in turns(models, setting.rounds):
            body = {"model": name, "prompt": text(sizes.prompt, number), "temperature": 0}
            answer = asyncio.run(ask(server.url, {**body, "max_tokens": sizes.tokens}, COMPLETION))
            found[name].extend([answer.per_token * 1e3] if number >= 0 else [])
    return found
