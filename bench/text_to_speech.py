"""Time to the first byte of speech through the server, against Kokoro called directly, in milliseconds.

    python bench/text_to_speech.py [--rounds 5] [--clients 4] [--threads N]

The weights are random, in the shape of Kokoro-82M; speed depends on them only in how long each phoneme lasts, which is
made to be as in ordinary speech. The server's figures include HTTP, the worker's hop, cutting the text into sentences,
reading them, and encoding. Kokoro itself is the library's model and misaki, on the first sentence and on all of them.
"""

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
os.environ["HF_HUB_OFFLINE"] = "1"

import httpx
import torch

from server import running_server
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


def direct(folder: Path, text: str) -> Callable[[], float]:
    """Return what measures the library alone on a text, sentence by sentence: reading it, and speaking it."""
    model, read = load_kokoro(folder), open_reader("en-US")
    style = torch.load(folder / "voices" / "af_heart.pt", weights_only=True)

    def measure() -> float:
        began = time.perf_counter()
        for sentence in split(text):
            phonemes = read(sentence).strip()
            model(phonemes, style[len(phonemes) - 1], 1.0)
        return time.perf_counter() - began

    return measure


def first_byte(client: httpx.Client, format: str, text: str = TEXT) -> tuple[float, float]:
    """Return the seconds until the first byte, and until the last."""
    body = {"model": "bench", "input": text, "response_format": format, "seed": 1}
    began = time.perf_counter()
    with client.stream("POST", "/v1/audio/speech", json=body) as response:
        pieces = response.iter_raw()
        next(pieces)
        first = time.perf_counter() - began
        for _ in pieces:
            pass
    return first, time.perf_counter() - began


def spoken_seconds(client: httpx.Client) -> float:
    """Return how long the text lasts."""
    body = {"model": "bench", "input": TEXT, "response_format": "pcm", "seed": 1}
    return len(client.post("/v1/audio/speech", json=body).content) / 2 / 24000


def measure(client: httpx.Client, folder: Path, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Return the seconds of each thing that is compared, in turns; the first turn warms up."""
    sentence = split(TEXT)[0]
    contenders: dict[str, Callable[[], float]] = {
        "Kokoro itself, first sentence": direct(folder, sentence),
        "Kokoro itself, whole text": direct(folder, TEXT),
    }
    for format in FORMATS:
        contenders[f"server, first byte, {format}"] = lambda format=format: first_byte(client, format)[0]
    contenders["server, last byte, mp3"] = lambda: first_byte(client, "mp3")[1]
    seconds: dict[str, list[float]] = {}
    for turn in range(arguments.rounds + 1):
        for name, contender in contenders.items():
            found = contender()
            seconds.setdefault(name, []).extend([found] if turn else [])
    return seconds


def together(client: httpx.Client, clients: int) -> list[tuple[float, float]]:
    """Return the seconds to the first and to the last byte of several clients at once."""
    with ThreadPoolExecutor(clients) as threads:
        return list(threads.map(lambda _: first_byte(client, "mp3"), range(clients)))


def main() -> None:
    """Measure in turns, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    use_threads(arguments.threads)
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as place:
        folder = make_kokoro(Path(place) / "model", **SHAPE)
        settings = Path(place) / "universal.toml"
        settings.write_text(f'[model.bench]\nmodel = "{folder}"\noptions = {{device = "cpu", threads = {threads}}}\n')
        flags = ("--config", str(settings), "--models-preload", "bench")
        with running_server(*flags, env={"OMP_NUM_THREADS": ""}) as server:
            server.wait_for("is ready")
            with httpx.Client(base_url=server.url, timeout=600) as client:
                report(measure(client, folder, arguments), spoken_seconds(client), threads)
                at_once = together(client, arguments.clients)
    for name, values in (("first", [first for first, _ in at_once]), ("last", [last for _, last in at_once])):
        print(f"{f'{arguments.clients} clients at once, {name} byte':<34} {statistics.median(values) * 1000:8.0f} ms")


def report(seconds: dict[str, list[float]], spoken: float, threads: int) -> None:
    """Print the medians, and what the server adds to the first sentence."""
    print(f"{threads} threads; a text of {len(split(TEXT))} sentences, {spoken:.1f} s of speech")
    for name, values in seconds.items():
        print(f"{name:<34} {statistics.median(values) * 1000:8.0f} ms")
    base = seconds["Kokoro itself, first sentence"]
    for format in FORMATS:
        added: list[Any] = [
            own - peer for own, peer in zip(seconds[f"server, first byte, {format}"], base, strict=True)
        ]
        print(f"{f'server adds to the first byte, {format}':<34} {statistics.median(added) * 1000:8.0f} ms")


if __name__ == "__main__":
    main()
