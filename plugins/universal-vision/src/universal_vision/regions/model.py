"""A model that says where things are: pictures in, boxes, masks or depths out."""

import math
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor

from universal_core import (
    DetectRequest,
    DetectResult,
    EstimateDepthRequest,
    EstimateDepthResult,
    LoadFailed,
    ModelInfo,
    SegmentRequest,
    SegmentResult,
    Usage,
)
from universal_vision.batches import Batches
from universal_vision.loading import load_model
from universal_vision.regions.encoding import encode_depths, encode_parts
from universal_vision.regions.finder import Job, Size, Words
from universal_vision.regions.finders import load_finders
from universal_vision.regions.kinds import kind_of
from universal_vision.regions.options import RegionOptions
from universal_vision.regions.preparation import Preparation
from universal_vision.regions.resizing import do_without_torchvision

# What pictures that go through a model together may have in pixels as they go in: some have a million each.
_PIXELS_AT_ONCE = 2**22


# What descriptions that are read for a batch may be in number: each picture of it has them read anew.
_LABELS_AT_ONCE = 256


class Answer(NamedTuple):
    """What was found in a picture of a size, and in how many patches it was read."""

    found: Any
    size: Size
    patches: int


class Ready(NamedTuple):
    """A picture made ready, and what is asked of it."""

    job: Job
    words: Words
    inputs: dict[str, Tensor]
    size: Size

    def alike(self) -> tuple[Any, ...]:
        """Return what pictures that go through the model together have in common."""
        return self.job, *((name, tuple(value.shape)) for name, value in self.inputs.items())


class RegionModel:
    """Runs a model that finds things, makes masks or estimates depths; pictures of all requests share batches."""

    def __init__(self, info: ModelInfo, options: RegionOptions) -> None:
        """Load the model in the folder ``info.path``; raises LoadFailed."""
        kind = kind_of(info)
        if kind is None:
            raise LoadFailed(f"{info.id} is no model that finds things, makes masks or estimates depths")
        do_without_torchvision(info.config.get("model_type", ""))
        self._loaded = load_model(info, getattr(transformers, kind.name), options)
        config = self._loaded.model.config
        processor, self._finders = load_finders(info, kind, config, options)
        self._prepare = Preparation(processor, config, options.max_pixels)
        self._most = options.batch_size or (8 if self._loaded.device.type == "cpu" else 32)
        self._batches: Batches[Any, Any] = Batches(
            self._compute, budget=self._most, ahead=3 * self._most, cost=self._cost
        )
        # A tokenizer changes its own settings when it is called, and fails where another thread is at work with it.
        self._reading = threading.Lock()

    def close(self) -> None:
        """End the threads."""
        self._batches.close()

    def device_memory(self) -> int:
        """Return the bytes that are taken on an accelerator."""
        device = self._loaded.device
        return torch.cuda.memory_reserved(device) if device.type == "cuda" else 0

    async def detect(self, request: DetectRequest) -> DetectResult:
        """Find things in each picture. Raises BadRequest for a picture or labels that cannot be read."""
        found, usage = await self._find(request.images, Job("detect", request.labels, request.threshold))
        return DetectResult(
            images=tuple(one.found for one in found),
            sizes=tuple((width, height) for height, width in (one.size for one in found)),
            usage=usage,
        )

    async def segment(self, request: SegmentRequest) -> SegmentResult:
        """Make masks of the parts of each picture. Raises BadRequest."""
        found, usage = await self._find(request.images, Job("segment", request.labels, request.threshold))
        masks = [await self._batches.read(partial(encode_parts, one.found, one.size)) for one in found]
        return SegmentResult(images=tuple(map(tuple, masks)), usage=usage)

    async def estimate_depth(self, request: EstimateDepthRequest) -> EstimateDepthResult:
        """Estimate how far away each pixel of each picture is. Raises BadRequest."""
        found, usage = await self._find(request.images, Job("estimate_depth"))
        maps = await self._batches.read(lambda: [encode_depths(one.found) for one in found])
        return EstimateDepthResult(images=tuple(maps), usage=usage)

    async def _find(self, images: Sequence[bytes], job: Job) -> tuple[list[Answer], Usage]:
        (words,) = await self._batches.read(lambda: [self._words(job)])

        def read(place: int) -> Ready:
            inputs, size = self._prepare(images[place], f"images[{place}]")
            return Ready(job, words, inputs, size)

        answers = await self._batches.answer(read, range(len(images)))
        return answers, Usage(prompt_tokens=words.tokens + sum(one.patches for one in answers))

    def _words(self, job: Job) -> Words:
        with self._reading:
            return self._finders[job.task].words(job)

    def _cost(self, ready: Ready) -> int:
        """Return how many of the pictures that go through the model at once this one counts for."""
        height, width = ready.inputs["pixel_values"].shape[-2:]
        share = max(height * width * ready.words.copies / _PIXELS_AT_ONCE, len(ready.job.labels) / _LABELS_AT_ONCE)
        return max(1, math.ceil(share * self._most))

    @torch.inference_mode()
    def _compute(self, waiting: Sequence[Ready]) -> list[Answer]:
        """Return what is found in each picture. Pictures of one shape go through the model together, unpadded."""
        groups: dict[tuple[Any, ...], list[int]] = {}
        for place, ready in enumerate(waiting):
            groups.setdefault(ready.alike(), []).append(place)
        answers: dict[int, Answer] = {}
        for places in groups.values():
            answers.update(zip(places, self._run([waiting[place] for place in places]), strict=True))
        return [answers[place] for place in range(len(waiting))]

    def _run(self, group: Sequence[Ready]) -> list[Answer]:
        first = group[0]
        outputs = self._loaded.model(**self._joined(group))
        sizes = [ready.size for ready in group]
        found = self._finders[first.job.task].find(in_float32(outputs), sizes, first.job, first.words)
        patches = self._prepare.patches(first.inputs)
        return [Answer(one, size, patches) for one, size in zip(found, sizes, strict=True)]

    def _joined(self, group: Sequence[Ready]) -> dict[str, Tensor]:
        rows = [{**_copied(ready.inputs, ready.words.copies), **ready.words.inputs} for ready in group]
        return {name: self._moved(torch.cat([row[name] for row in rows])) for name in rows[0]}

    def _moved(self, values: Tensor) -> Tensor:
        return values.to(self._loaded.device, self._loaded.dtype if values.is_floating_point() else None)


def _copied(inputs: dict[str, Tensor], copies: int) -> dict[str, Tensor]:
    return {name: value.expand(copies, *value.shape[1:]) for name, value in inputs.items()}


def in_float32(outputs: Any) -> Any:
    """Return the outputs of a model with the numbers at their top in float32, in which they are read."""
    for name, value in outputs.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            outputs[name] = value.float()
    return outputs
