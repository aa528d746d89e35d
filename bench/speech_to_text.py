"""Seconds that /v1/audio/transcriptions takes, beside faster-whisper called directly on the same recording.

The weights are random, in the shape of whisper-base, so every window is written to the last token: slower than speech
would be, alike for all. The server's figures include HTTP, the worker's hop, decoding and cutting; the library decodes
and cuts too. The contenders take turns within each round; read the ratios.
"""

import io
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel

from bench.comparison import Comparison, Found, Samples
from bench.rounds import in_turns
from bench.servers import Options, universal
from bench.setting import Setting
from tiny.sounds import recording, silence, voice
from tiny.speech import convert_whisper, make_whisper

BASE = {"width": 512, "layers": 6, "heads": 8, "text_tokens": 50256}
BATCHES = {"batched": 8, "single": 1}
"""Windows that are computed at a time, by the name of the model that does so."""

SHORT = 25.0
"""Seconds that each of several clients has."""

Contender = Callable[[bytes], float]


class Sizes(NamedTuple):
    """Seconds of speech, clients at once with a short recording each, and the number format."""

    seconds: float = 240.0
    clients: int = 4
    compute_type: str = "int8"


QUICK = Sizes(seconds=12.0, clients=2)


def speech(seconds: float) -> bytes:
    """Return a recording of sentences with pauses between, as mp3."""
    sentences = [
        np.concatenate([voice(9 + 5 * (number % 3)), silence(1.0)]) for number in range(int(seconds // 10) + 1)
    ]
    return recording(np.concatenate(sentences)[: int(seconds * 16000)], "mp3")


def library(folder: Path, sizes: Sizes, setting: Setting, batch_size: int) -> Contender:
    """Return what measures the library's own batched pipeline."""
    model = WhisperModel(
        str(folder), device=setting.device, compute_type=sizes.compute_type, cpu_threads=setting.threads
    )
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


def together(run: Contender, data: bytes, clients: int) -> float:
    """Return the seconds until several clients at once are all answered."""
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(lambda _: run(data), range(clients)))
    return time.perf_counter() - began


def measure(setting: Setting) -> Found:
    """Compare the server with the library, and several clients at once with one after the other."""
    logging.disable(logging.WARNING)
    sizes = setting.sizes(Sizes(), QUICK)
    options: Options = {
        "device": setting.device,
        "compute_type": sizes.compute_type,
        "threads": setting.threads,
        "beam_size": 1,
        "temperature_fallback": False,
    }
    with tempfile.TemporaryDirectory() as place:
        folder = convert_whisper(make_whisper(Path(place) / "source", **BASE), Path(place) / "model")
        models = {name: (folder, {**options, "batch_size": batch}) for name, batch in BATCHES.items()}
        with universal(models) as running, httpx.Client(base_url=running.url, timeout=3600) as client:
            found = [*_recordings(client, folder, sizes, setting), *_together(client, sizes, setting)]
    return Found(f"whisper-base's shape, {sizes.compute_type}, {sizes.seconds:g} s of speech", found)


def _recordings(client: httpx.Client, folder: Path, sizes: Sizes, setting: Setting) -> Iterator[Comparison]:
    data = speech(sizes.seconds)
    for model, batch in BATCHES.items():
        contenders = {"server": server(client, model), "library": library(folder, sizes, setting, batch)}
        runs = {name: lambda run=run: run(data) for name, run in contenders.items()}
        yield Comparison(f"{batch} windows at a time", "time", "s", in_turns(runs, setting.rounds))


def _together(client: httpx.Client, sizes: Sizes, setting: Setting) -> Iterator[Comparison]:
    data = speech(min(SHORT, sizes.seconds))
    for model, batch in BATCHES.items():
        run, samples = server(client, model), Samples()
        samples["at once"] = [together(run, data, sizes.clients) for _ in range(setting.rounds)]
        samples["one after the other"] = [sizes.clients * run(data) for _ in range(setting.rounds)]
        yield Comparison(f"{sizes.clients} clients, {batch} windows at a time", "time", "s", samples)
