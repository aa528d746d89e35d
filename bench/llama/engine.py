"""The engine called directly against the barest loop over llama_decode with as many sequences."""

import asyncio
import time
from pathlib import Path

from bench.comparison import Comparison, Found
from bench.engine import ENGINE, LOOP, Round, compared, prompts_of, through_engine
from bench.llama.inside import loaded
from bench.llama.library import Loop, Sequences
from bench.llama.models import text_model
from bench.llama.servers import options_of
from bench.llama.setting import Sizes, sizes_of
from bench.rounds import turns
from bench.setting import Setting


def measure(setting: Setting) -> Found:
    """Compare both with each file and each number of sequences."""
    sizes, found = sizes_of(setting), list[Comparison]()
    for kind in sizes.files:
        file = text_model(setting.folder, sizes.shape, kind, setting.threads)
        for rows, rounds in asyncio.run(_rounds(setting, sizes, file)).items():
            found += compared(f"{kind}, {rows} at once", rounds)
    return Found(f"{sizes.shape}, {sizes.prompt} tokens in, {sizes.tokens} out, no server, greedy", found)


async def _rounds(setting: Setting, sizes: Sizes, file: Path) -> dict[int, dict[str, list[Round]]]:
    found: dict[int, dict[str, list[Round]]] = {rows: {ENGINE: [], LOOP: []} for rows in sizes.clients}
    loop = Loop(file, setting.threads, sizes.slots, sizes.context)
    async with loaded(file, "complete", options_of(setting, sizes)) as model:
        for rows, measured in found.items():
            for number, name, reached in turns(measured, setting.rounds):
                prompts = prompts_of(rows, sizes.prompt, number)
                if name == ENGINE:
                    value = await through_engine(model, prompts, sizes.tokens)
                else:
                    value = _bare(loop, prompts, sizes.tokens)
                reached.extend([value] if number >= 0 else [])
    loop.close()
    return found


def _bare(loop: Loop, prompts: Sequences, tokens: int) -> Round:
    began = time.perf_counter()
    following = loop.read(prompts)
    read = time.perf_counter()
    for _ in range(tokens - 1):
        following = loop.step(following)
    ended = time.perf_counter()
    return Round(len(prompts) * tokens / (ended - began), len(prompts) * (tokens - 1) / (ended - read))
