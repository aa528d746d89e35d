"""Pictures a second through /v1/vision/classify and /v1/vision/clip, beside transformers' own pipelines.

The weights are random, in the shape of ViT-B/16 and of a CLIP over one; speed does not depend on values. The pipelines
read the same JPEG files from the disk, one by one and in the batches that suit them best; the server's figures include
base64, JSON, HTTP and the way to the worker. Its clients ask for a picture each, again as soon as they are answered.
"""

import base64
import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy
import torch
from PIL import Image
from transformers import pipeline

from bench.comparison import Comparison, Found, Goal, median
from bench.rounds import in_turns
from bench.servers import Options, Server, universal
from bench.setting import Setting
from tiny.vision import make_clip, make_vit
from universal_core.pytorch import use_threads

CLIENTS = (1, 16)
LABELS = ["a cat", "a dog", "a red car", "a tree", "the sea", "a house", "food", "people", "a bird", "a street"]
PIPELINES = {"classify": "image-classification", "clip": "zero-shot-image-classification"}

GOAL = 0.95
"""Of what the pipeline has with the batch size that suits it best, at the most clients."""

Measure = Callable[[], float]


class Sizes(NamedTuple):
    """The pictures, the models' shape and number format, and the sizes of the pipelines' batches."""

    pictures: int = 32
    layers: int = 12
    hidden: int = 768
    width: int = 500
    height: int = 375
    dtype: str = "float32"
    batches: tuple[int, ...] = (1, 8, 16)


QUICK = Sizes(pictures=4, layers=1, hidden=64, batches=(1,))


def measure(setting: Setting) -> Found:
    """Compare the server with the pipelines, both in turns."""
    sizes = setting.sizes(Sizes(), QUICK)
    use_threads(setting.threads)
    options: Options = {"device": setting.device, "dtype": sizes.dtype, "threads": setting.threads}
    found: list[Comparison] = []
    with tempfile.TemporaryDirectory() as folder:
        files = photos(Path(folder) / "photos", sizes)
        models = make(Path(folder), sizes)
        with universal({name: (path, options) for name, path in models.items()}) as server:
            for endpoint, model in models.items():
                contenders = _contenders(endpoint, model, files, server, sizes, setting.device)
                samples = in_turns(contenders, setting.rounds)
                found += [_compared(endpoint, name, samples, sizes.batches) for name in samples if "server" in name]
    return Found(f"{sizes.pictures} pictures, {sizes.layers} layers of {sizes.hidden}, {sizes.dtype}", found)


def photos(folder: Path, sizes: Sizes) -> list[Path]:
    """Write pictures as a camera would make them: smooth, with some noise."""
    folder.mkdir()
    draw = numpy.random.default_rng(0)
    paths = []
    for place in range(sizes.pictures):
        coarse = Image.fromarray(draw.integers(0, 256, (6, 8, 3), numpy.uint8))
        smooth = numpy.asarray(coarse.resize((sizes.width, sizes.height), Image.Resampling.BICUBIC), numpy.int16)
        noisy = (smooth + draw.normal(0, 8, smooth.shape)).clip(0, 255).astype(numpy.uint8)
        paths.append(folder / f"{place}.jpg")
        Image.fromarray(noisy).save(paths[-1], quality=90)
    return paths


def make(folder: Path, sizes: Sizes) -> dict[str, Path]:
    """Write a classifier and a CLIP of this shape, by the endpoint that they are for."""
    shape = {
        "hidden_size": sizes.hidden,
        "intermediate_size": 4 * sizes.hidden,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.hidden // 64,
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
    endpoint: str, model: Path, files: list[Path], server: Server, sizes: Sizes, device: str
) -> dict[str, Measure]:
    run = pipeline(PIPELINES[endpoint], model=str(model), device=device, dtype=getattr(torch, sizes.dtype))
    more: dict[str, Any] = {"candidate_labels": LABELS} if endpoint == "clip" else {"top_k": 5}
    bodies = [_body(endpoint, file) for file in files]
    found: dict[str, Measure] = {}
    for batch in sizes.batches:
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


def _compared(endpoint: str, name: str, samples: dict[str, list[float]], batches: tuple[int, ...]) -> Comparison:
    """Compare the server with the pipeline at the size of batches that suits it best."""
    best = max((f"pipeline, batches of {batch}" for batch in batches), key=lambda each: median(samples[each]))
    goals = (Goal(best, least=GOAL),) if str(CLIENTS[-1]) in name else ()
    pair = {name: samples[name], best: samples[best]}
    return Comparison(f"/v1/vision/{endpoint}", "pictures a second", "pictures/s", pair, goals)
