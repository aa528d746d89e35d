"""Time to the first byte of speech through the server, beside Kokoro called directly.

The weights are random, in the shape of Kokoro-82M; speed depends on them only in how long each phoneme lasts, which is
made to be as in ordinary speech. The server's figures include HTTP, the worker's hop, cutting the text into sentences,
reading them, and encoding. Kokoro itself is the library's model and misaki, on the first sentence and on all of them.
"""

import logging
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
import torch

from bench.comparison import Comparison, Found, Goal, Samples, median
from bench.rounds import in_turns
from bench.servers import OURS, Options, universal
from bench.setting import Setting
from tiny.kokoro import load_kokoro, make_kokoro
from universal_audio.speech.languages import open_reader
from universal_audio.speech.sentences import split
from universal_core.pytorch import use_threads

TEXT = (
    "The quick brown fox jumps over the lazy dog. It was a bright cold day in April, and the clocks were striking "
    "thirteen. Nobody had thought of that before. The rest of the story is told by others, who know it better."
)
FORMATS = ("pcm", "mp3")
# 13 phonemes a second and 40 frames: three frames a phoneme is ordinary speech.
SHAPE = {"layers": 3, "width": 768, "longest": 6}
FIRST, WHOLE = "Kokoro, first sentence", "Kokoro, whole text"
SOONER = 0.2
"""Of the time that the whole text takes, until the first byte is there."""


class Sizes(NamedTuple):
    """Clients at once."""

    clients: int = 4


QUICK = Sizes(2)


def direct(folder: Path, text: str) -> Callable[[], float]:
    """Return what measures the milliseconds of the library alone for a text: reading and speaking its sentences."""
    model, read = load_kokoro(folder), open_reader("en-US")
    style = torch.load(folder / "voices" / "af_heart.pt", weights_only=True)

    def run() -> float:
        began = time.perf_counter()
        for sentence in split(text):
            phonemes = read(sentence).strip()
            model(phonemes, style[len(phonemes) - 1], 1.0)
        return (time.perf_counter() - began) * 1e3

    return run


def first_byte(client: httpx.Client, format: str, text: str = TEXT) -> tuple[float, float]:
    """Return the milliseconds until the first byte, and until the last."""
    body = {"model": "bench", "input": text, "response_format": format, "seed": 1}
    began = time.perf_counter()
    with client.stream("POST", "/v1/audio/speech", json=body) as response:
        pieces = response.iter_raw()
        next(pieces)
        first = (time.perf_counter() - began) * 1e3
        for _ in pieces:
            pass
    return first, (time.perf_counter() - began) * 1e3


def together(client: httpx.Client, clients: int) -> list[tuple[float, float]]:
    """Return the milliseconds to the first and to the last byte of several clients at once."""
    with ThreadPoolExecutor(clients) as threads:
        return list(threads.map(lambda _: first_byte(client, "mp3"), range(clients)))


def measure(setting: Setting) -> Found:
    """Compare the server with the library, and let several clients ask at once."""
    logging.disable(logging.WARNING)
    sizes = setting.sizes(Sizes(), QUICK)
    use_threads(setting.threads)
    options: Options = {"device": setting.device, "threads": setting.threads}
    with tempfile.TemporaryDirectory() as place:
        folder = make_kokoro(Path(place) / "model", **SHAPE)
        with (
            universal({"bench": (folder, options)}) as server,
            httpx.Client(base_url=server.url, timeout=600) as client,
        ):
            samples = in_turns(_contenders(client, folder), setting.rounds)
            at_once = [together(client, sizes.clients) for _ in range(setting.rounds)]
    found = [
        Comparison(f"one client, {format}", "first byte", "ms", _beside(samples, format), (Goal(WHOLE, most=SOONER),))
        for format in FORMATS
    ]
    for place, quantity in enumerate(("first byte", "last byte")):
        values = {OURS: [median(each[place] for each in answers) for answers in at_once]}
        found.append(Comparison(f"{sizes.clients} clients, mp3", quantity, "ms", values))
    return Found(f"Kokoro-82M's shape, a text of {len(split(TEXT))} sentences", found)


def _contenders(client: httpx.Client, folder: Path) -> dict[str, Callable[[], float]]:
    found: dict[str, Callable[[], float]] = {
        FIRST: direct(folder, split(TEXT)[0]),
        WHOLE: direct(folder, TEXT),
    }
    for format in FORMATS:
        found[format] = lambda format=format: first_byte(client, format)[0]
    return found


def _beside(samples: Samples, format: str) -> Samples:
    return {OURS: samples[format], FIRST: samples[FIRST], WHOLE: samples[WHOLE]}
