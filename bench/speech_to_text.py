"""Real-time factor of /v1/audio/transcriptions against faster-whisper called directly, on the same recording.

    python bench/speech_to_text.py [--seconds 240] [--rounds 3] [--clients 4] [--threads N] [--compute-type int8]

The weights are random, in the shape of whisper-base, so every window is written to the last token: slower than speech
would be, alike for all. The server's figures include HTTP, the worker's hop, decoding and cutting; the library decodes
and cuts too. The contenders take turns within each round; read the ratios.
"""

import argparse
import io
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
os.environ["HF_HUB_OFFLINE"] = "1"

import httpx
import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel

from server import running_server
from tiny.sounds import recording, silence, voice
from tiny.speech import convert_whisper, make_whisper

BASE = {"width": 512, "layers": 6, "heads": 8, "text_tokens": 50256}
BATCH = 8
Contender = Callable[[bytes], float]


def speech(seconds: float) -> bytes:
    """Return a recording of sentences with pauses between, as mp3."""
    sentences = [
        np.concatenate([voice(9 + 5 * (number % 3)), silence(1.0)]) for number in range(int(seconds // 10) + 1)
    ]
    return recording(np.concatenate(sentences)[: int(seconds * 16000)], "mp3")


def library(folder: Path, arguments: argparse.Namespace, batch_size: int) -> Contender:
    """Return what measures the library's own batched pipeline."""
    model = WhisperModel(str(folder), device="cpu", compute_type=arguments.compute_type, cpu_threads=arguments.threads)
    pipeline = BatchedInferencePipeline(model)

    def run(data: bytes) -> float:
        began = time.perf_counter()
        found, _ = pipeline.transcribe(
            io.BytesIO(data), language="en", beam_size=1, batch_size=batch_size, without_timestamps=False
        )
        assert list(found)
        return time.perf_counter() - began

    return run


def server(client: httpx.Client, model: str) -> Contender:
    """Return what measures the endpoint."""

    def run(data: bytes) -> float:
        began = time.perf_counter()
        fields = {"model": model, "language": "en", "vad_filter": "true"}
        response = client.post("/v1/audio/transcriptions", files={"file": ("speech.mp3", data)}, data=fields)
        assert response.json()["text"]
        return time.perf_counter() - began

    return run


def in_turns(contenders: dict[str, Contender], data: bytes, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each contender in each round; one more round comes first, to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, run in contenders.items():
            found = run(data)
            if turn:
                seconds[name].append(found)
    return seconds


def together(run: Contender, data: bytes, clients: int) -> float:
    """Return the seconds until several clients at once are all answered."""
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(lambda _: run(data), range(clients)))
    return time.perf_counter() - began


def configuration(folder: Path, arguments: argparse.Namespace) -> str:
    """Return a configuration with the model twice: windows computed together, and one by one."""
    options = (
        f'device = "cpu", compute_type = "{arguments.compute_type}", threads = {arguments.threads}, beam_size = 1, '
        "temperature_fallback = false"
    )
    return "".join(
        f'[model.{name}]\nmodel = "{folder}"\noptions = {{{options}, batch_size = {size}}}\n'
        for name, size in (("batched", BATCH), ("single", 1))
    )


def main() -> None:
    """Measure in turns, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--compute-type", default="int8")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as place:
        folder = convert_whisper(make_whisper(Path(place) / "source", **BASE), Path(place) / "model")
        settings = Path(place) / "universal.toml"
        settings.write_text(configuration(folder, arguments))
        with (
            running_server("--config", str(settings), env={"OMP_NUM_THREADS": ""}) as running,
            httpx.Client(base_url=running.url, timeout=3600) as client,
        ):
            measure(client, folder, arguments)


def measure(client: httpx.Client, folder: Path, arguments: argparse.Namespace) -> None:
    """Compare the server with the library, and several clients at once with one after the other."""
    data = speech(arguments.seconds)
    contenders = {
        f"library, {BATCH} windows at a time": library(folder, arguments, BATCH),
        f"server, {BATCH} windows at a time": server(client, "batched"),
        "library, one window at a time": library(folder, arguments, 1),
        "server, one window at a time": server(client, "single"),
    }
    print(f"{arguments.seconds:g} s of speech, {arguments.compute_type}, {arguments.threads} threads")
    seconds = in_turns(contenders, data, arguments.rounds)
    for name, values in seconds.items():
        peer = seconds[name.replace("server", "library")]
        ratio = statistics.median(own / other for own, other in zip(values, peer, strict=True))
        median = statistics.median(values)
        print(f"{name:<36} {median:8.2f} s   real-time factor {median / arguments.seconds:.4f}   {ratio:6.3f}")
    short = speech(25.0)
    for name, model in ((f"{BATCH} windows at a time", "batched"), ("one window at a time", "single")):
        run = server(client, model)
        one = statistics.median(run(short) for _ in range(arguments.rounds))
        all_of_them = statistics.median(together(run, short, arguments.clients) for _ in range(arguments.rounds))
        print(
            f"{arguments.clients} clients with 25 s each, {name}: {all_of_them:.2f} s, "
            f"one after the other {one * arguments.clients:.2f} s"
        )


if __name__ == "__main__":
    main()
