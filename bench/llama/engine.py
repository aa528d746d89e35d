"""The engine called directly against the barest loop over llama_decode with as many sequences."""

import asyncio
import random
import time
from pathlib import Path
from typing import Any, NamedTuple

from inside import loaded
from library import Loop, Sequences
from models import text_model
from report import goal, heading, ratio, spread
from servers import options_of
from setting import Setting
from universal_core import CompletionRequest, Text

GOAL = 0.95


class Round(NamedTuple):
    """Tokens a second: of answers and prompts together, and while every sequence was being answered."""

    whole: float
    decode: float


Rounds = dict[int, tuple[list[Round], list[Round]]]


def measure(setting: Setting) -> None:
    """Compare both with each file and each number of sequences."""
    for kind in setting.files:
        heading(f"the engine beside the bare loop, {setting.shape} {kind}: {setting.prompt} in, {setting.tokens} out")
        file = text_model(setting.folder, setting.shape, kind, setting.threads)
        for sequences, (ours, bare) in asyncio.run(_rounds(setting, file)).items():
            for part in ("whole", "decode"):
                mine, floor = ([getattr(each, part) for each in found] for found in (ours, bare))
                print(f"  {sequences:>2} at once, {part:<7} engine {spread(mine, 'tokens/s')}", end="")
                print(f"  loop {spread(floor, 'tokens/s')}   {goal(ratio(mine, floor), least=GOAL)}")


async def _rounds(setting: Setting, file: Path) -> Rounds:
    found: Rounds = {sequences: ([], []) for sequences in setting.clients}
    loop = Loop(file, setting.threads, setting.slots, setting.context)
    async with loaded(file, "complete", options_of(setting)) as model:
        for number in range(setting.rounds + 1):
            for sequences, (ours, bare) in found.items():
                prompts = _prompts(sequences, setting.prompt, number)
                pair = await _engine(model, prompts, setting.tokens), _bare(loop, prompts, setting.tokens)
                # The first round warms up.
                if number:
                    ours.append(pair[0])
                    bare.append(pair[1])
    loop.close()
    return found


def _prompts(count: int, length: int, number: int) -> Sequences:
    draw = random.Random(f"{number} {count}")
    return [[draw.randrange(1000, 18000) for _ in range(length)] for _ in range(count)]


async def _engine(model: Any, prompts: Sequences, tokens: int) -> Round:
    """Ask for all answers at once."""
    began = time.perf_counter()
    arrivals = await asyncio.gather(*(_answer(model, prompt, tokens) for prompt in prompts))
    seconds = time.perf_counter() - began
    # All sequences run from the last one's first token until the first one's last.
    begin, end = max(moments[0] for moments in arrivals), min(moments[-1] for moments in arrivals)
    together = sum(begin < moment <= end for moments in arrivals for moment in moments)
    return Round(len(prompts) * tokens / seconds, together / (end - begin) if end > begin else float("nan"))


async def _answer(model: Any, prompt: list[int], tokens: int) -> list[float]:
    request = CompletionRequest(prompt=tuple(prompt), max_tokens=tokens, temperature=0.0)
    return [time.perf_counter() async for event in model.complete(request) if isinstance(event, Text)]


def _bare(loop: Loop, prompts: Sequences, tokens: int) -> Round:
    began = time.perf_counter()
    following = loop.read(prompts)
    read = time.perf_counter()
    for _ in range(tokens - 1):
        following = loop.step(following)
    ended = time.perf_counter()
    return Round(len(prompts) * tokens / (ended - began), len(prompts) * (tokens - 1) / (ended - read))
