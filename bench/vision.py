"""Pictures a second through /v1/vision/classify and /v1/vision/clip, beside transformers' own pipelines, as ratios.

    python bench/vision.py [--rounds 3] [--pictures 32] [--layers 12] [--hidden 768] [--width 500] [--height 375]
                           [--device cpu] [--dtype float32] [--batches 1 8 16]

The weights are random, in the shape of ViT-B/16 and of a CLIP over one; speed does not depend on values. The pipelines
read the same JPEG files from the disk, one by one and in the batches that suit them best; the server's figures include
base64, JSON, HTTP and the way to the worker. Its clients ask for a picture each, again as soon as they are answered.
"""

import argparse
import base64
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import httpx
import numpy
import torch
from PIL import Image
from transformers import pipeline

from server import Server, running_server
from tiny.vision import make_clip, make_vit
from universal_core.pytorch import use_threads

CLIENTS = (1, 16)
LABELS = ["a cat", "a dog", "a red car", "a tree", "the sea", "a house", "food", "people", "a bird", "a street"]
PIPELINES = {"classify": "image-classification", "clip": "zero-shot-image-classification"}

Measure = Callable[[], float]


def main() -> None:
    """Measure in turns, and print medians and ratios to the best pipeline."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        files = photos(Path(folder) / "photos", arguments)
        models = make(Path(folder), arguments)
        threads = use_threads(None)
        print(f"{arguments.device}, {arguments.dtype}, {threads} threads, {arguments.pictures} pictures")
        with running_server(*_settings(Path(folder), models, arguments), env={"OMP_NUM_THREADS": ""}) as server:
            for endpoint, model in models.items():
                server.wait_for(f"{model} is ready")
                _report(endpoint, _contenders(endpoint, model, files, server, arguments), arguments.rounds)


def photos(folder: Path, arguments: argparse.Namespace) -> list[Path]:
    """Write pictures as a camera would make them: smooth, with some noise."""
    folder.mkdir()
    draw = numpy.random.default_rng(0)
    paths = []
    for place in range(arguments.pictures):
        coarse = Image.fromarray(draw.integers(0, 256, (6, 8, 3), numpy.uint8))
        smooth = numpy.asarray(
            coarse.resize((arguments.width, arguments.height), Image.Resampling.BICUBIC), numpy.int16
        )
        noisy = (smooth + draw.normal(0, 8, smooth.shape)).clip(0, 255).astype(numpy.uint8)
        paths.append(folder / f"{place}.jpg")
        Image.fromarray(noisy).save(paths[-1], quality=90)
    return paths


def make(folder: Path, arguments: argparse.Namespace) -> dict[str, Path]:
    """Write a classifier and a CLIP of this shape, by the endpoint that they are for."""
    shape = {
        "hidden_size": arguments.hidden,
        "intermediate_size": 4 * arguments.hidden,
        "num_hidden_layers": arguments.layers,
        "num_attention_heads": arguments.hidden // 64,
        "image_size": 224,
        "patch_size": 16,
        "initializer_range": 0.02,
    }
    names = {place: f"class {place}" for place in range(1000)}
    labels = {"id2label": names, "label2id": {name: place for place, name in names.items()}}
    return {
        "classify": make_vit(folder / "vit", **shape, **labels),
        "clip": make_clip(folder / "clip", **shape),
    }


def direct(run: Any, files: list[Path], batch: int, more: dict[str, Any]) -> float:
    """Return the pictures a second of a pipeline."""
    began = time.perf_counter()
    found = run([str(file) for file in files], batch_size=batch, **more)
    assert len(found) == len(files)
    return len(files) / (time.perf_counter() - began)


def served(server: Server, endpoint: str, bodies: list[bytes], clients: int) -> float:
    """Return the pictures a second that some clients at once get together."""
    headers = {"content-type": "application/json"}
    with httpx.Client(base_url=server.url, timeout=600, headers=headers) as client, ThreadPoolExecutor(clients) as pool:
        began = time.perf_counter()
        for answer in pool.map(lambda body: client.post(f"/v1/vision/{endpoint}", content=body), bodies):
            answer.raise_for_status()
        return len(bodies) / (time.perf_counter() - began)


def _contenders(
    endpoint: str, model: Path, files: list[Path], server: Server, arguments: argparse.Namespace
) -> dict[str, Measure]:
    run = pipeline(
        PIPELINES[endpoint], model=str(model), device=arguments.device, dtype=getattr(torch, arguments.dtype)
    )
    more: dict[str, Any] = {"candidate_labels": LABELS} if endpoint == "clip" else {"top_k": 5}
    bodies = [_body(endpoint, file) for file in files]
    found: dict[str, Measure] = {}
    for batch in arguments.batches:
        found[f"pipeline, batches of {batch}"] = lambda batch=batch: direct(run, files, batch, more)
    for count in CLIENTS:
        # One client needs no more pictures than it takes to see its pace.
        asked = bodies if count > 1 else bodies[: max(8, len(bodies) // 3)]
        found[f"server, {count} clients"] = lambda count=count, asked=asked: served(server, endpoint, asked, count)
    return found


def _body(endpoint: str, file: Path) -> bytes:
    url = "data:image/jpeg;base64," + base64.b64encode(file.read_bytes()).decode()
    more = {"candidate_labels": LABELS} if endpoint == "clip" else {}
    return json.dumps({"model": endpoint, "images": [url], **more}).encode()


def _settings(folder: Path, models: dict[str, Path], arguments: argparse.Namespace) -> list[str]:
    options = f'{{device = "{arguments.device}", dtype = "{arguments.dtype}"}}'
    text = "".join(f'[model.{name}]\nmodel = "{path}"\noptions = {options}\n' for name, path in models.items())
    (folder / "universal.toml").write_text(text)
    return ["--config", str(folder / "universal.toml"), "--models-preload", ",".join(models)]


def _report(endpoint: str, contenders: dict[str, Measure], rounds: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, measure in random.sample(list(contenders.items()), len(contenders)):
            rate = measure()
            # The first round warms up.
            rates[name].extend([rate] if turn else [])
    medians = {name: statistics.median(values) for name, values in rates.items()}
    best = max(rate for name, rate in medians.items() if name.startswith("pipeline"))
    print(f"\n/v1/vision/{endpoint}")
    for name, rate in medians.items():
        print(f"  {name:<24} {rate:8.1f} pictures/s   {rate / best:5.2f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    numbers = (("rounds", 3), ("pictures", 32), ("layers", 12), ("hidden", 768), ("width", 500), ("height", 375))
    for name, default in numbers:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16])
    return parser.parse_args()


if __name__ == "__main__":
    main()
