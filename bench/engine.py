"""The engine of universal-text called directly, beside the barest loop that decodes as many rows of the same model."""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

from bench.comparison import Comparison, Found, Goal
from bench.loop import Loop
from bench.models import chat_model
from bench.rounds import turns
from bench.setting import Setting

ENGINE, LOOP = "engine", "bare loop"
GOAL = 0.95


class Sizes(NamedTuple):
    """The model, rows at once, and tokens of each prompt and answer."""

    shape: str = "qwen3-0.6b"
    rows: tuple[int, ...] = (1, 8, 16)
    prompt: int = 64
    tokens: int = 32


QUICK = Sizes("tiny", (1, 3), 24, 8)


class Round(NamedTuple):
    """Tokens a second: of answers while prompts are read too, and while every row was being answered."""

    whole: float
    decode: float


def measure(setting: Setting) -> Found:
    """Compare both at each number of rows."""
    import torch

    from universal_core.pytorch import pick_dtype, use_threads

    sizes = setting.sizes(Sizes(), QUICK)
    folder = chat_model(setting.folder, sizes.shape)
    use_threads(setting.threads)
    dtype = pick_dtype("auto", torch.device(setting.device), torch.bfloat16)
    loop = Loop(folder, setting.device, dtype)
    with closing(_model(setting, str(folder), max(sizes.rows))) as model:
        found = {rows: asyncio.run(_rounds(model, loop, rows, sizes, setting.rounds)) for rows in sizes.rows}
    about = f"{sizes.shape}, {sizes.prompt} tokens in, {sizes.tokens} out, no server, greedy"
    return Found(about, [each for rows, rounds in found.items() for each in compared(_case(rows), rounds)])


def prompts_of(count: int, length: int, seed: object) -> list[list[int]]:
    """Return prompts of token ids, all different."""
    draw = random.Random(str((seed, count)))
    return [[draw.randrange(1000, 18000) for _ in range(length)] for _ in range(count)]


async def through_engine(model: Any, prompts: list[list[int]], tokens: int) -> Round:
    """Ask the engine for all answers at once."""
    began = time.perf_counter()
    arrivals = await asyncio.gather(*(_answer(model, prompt, tokens) for prompt in prompts))
    whole = len(prompts) * tokens / (time.perf_counter() - began)
    # All rows run from the last one's first token until the first one's last.
    begin, end = max(moments[0] for moments in arrivals), min(moments[-1] for moments in arrivals)
    together = sum(begin < moment <= end for moments in arrivals for moment in moments)
    # Where answers were written one after the other there was no such time.
    return Round(whole, together / (end - begin) if end > begin else whole)


def through_loop(loop: Loop, prompts: list[list[int]], tokens: int) -> Round:
    """Let the loop do the same."""
    began = time.perf_counter()
    following = loop.read(prompts, len(prompts[0]) + tokens)
    read = time.perf_counter()
    for _ in range(tokens - 1):
        following = loop.step(following)
        following.tolist()
    ended = time.perf_counter()
    return Round(len(prompts) * tokens / (ended - began), len(prompts) * (tokens - 1) / (ended - read))


def _model(setting: Setting, folder: str, slots: int) -> Any:
    from universal_core import ModelInfo, ModelRef
    from universal_text.causal.model import CausalModel
    from universal_text.options import CausalOptions

    info = ModelInfo(id="bench", ref=ModelRef.parse(folder), source="bench", path=folder)
    return CausalModel(info, CausalOptions(device=setting.device, threads=setting.threads, slots=slots))


async def _rounds(model: Any, loop: Loop, rows: int, sizes: Sizes, rounds: int) -> dict[str, list[Round]]:
    found: dict[str, list[Round]] = {ENGINE: [], LOOP: []}
    short = sizes._replace(tokens=4)
    for number, name, _ in turns(found, rounds):
        # What comes before the first round only warms up.
        now = sizes if number >= 0 else short
        prompts = prompts_of(rows, now.prompt, number)
        if name == ENGINE:
            reached = await through_engine(model, prompts, now.tokens)
        else:
            reached = await asyncio.to_thread(through_loop, loop, prompts, now.tokens)
        found[name].extend([reached] if number >= 0 else [])
    return found


async def _answer(model: Any, prompt: list[int], tokens: int) -> list[float]:
    """Return when each piece of an answer came. Raises RuntimeError unless it has all its tokens."""
    from universal_core import CompletionRequest, Text, Usage

    request = CompletionRequest(prompt=tuple(prompt), max_tokens=tokens, temperature=0.0)
    moments, written = [], 0
    async for event in model.complete(request):
        if isinstance(event, Text):
            moments.append(time.perf_counter())
        elif isinstance(event, Usage):
            written = event.completion_tokens
    if written != tokens:
        raise RuntimeError(f"expected {tokens} tokens, but the engine wrote {written}")
    return moments


def _case(rows: int) -> str:
    return f"{rows} rows" if rows > 1 else "1 row"


def compared(case: str, found: dict[str, list[Round]]) -> Iterator[Comparison]:
    """Yield what the engine has of the loop, while decoding and with prompts."""
    for part, words in (("decode", "decoding"), ("whole", "prompts too")):
        samples = {name: [getattr(each, part) for each in rounds] for name, rounds in found.items()}
        yield Comparison(case, f"tokens a second, {words}", "tokens/s", samples, (Goal(LOOP, least=GOAL),))
