"""A model that says where things are: pictures in, boxes, masks or depths out."""

import asyncio
import math
import threading
from collections.abc import Callable, Sequence
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
from universal_core.pytorch import taken_memory
from universal_text.loading import explained
from universal_vision.batches import Batches
from universal_vision.loading import Inputs, load_model
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
    inputs: Inputs
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
        with explained(info):
            self._prepare = Preparation(processor, config, options.max_pixels)
        self._most = options.most(self._loaded.device.type)
        # Only pictures that are alike go through the model together: padding would change what is found.
        self._batches: Batches[Ready, Answer] = Batches(
            self._compute, budget=self._most, ahead=3 * self._most, cost=self._cost, group=Ready.alike
        )
        # A tokenizer changes its own settings when it is called, and fails where another thread is at work with it.
        self._reading = threading.Lock()

    def close(self) -> None:
        """End the threads."""
        self._batches.close()

    def device_memory(self) -> int:
        """Return the bytes that are taken on an accelerator."""
        return taken_memory(self._loaded.device)

    async def detect(self, request: DetectRequest) -> DetectResult:
        """Find things in each picture. Raises BadRequest for a picture or labels that cannot be read."""
        job = Job("detect", request.labels, request.threshold)
        told, usage = await self._find(request.images, job, lambda found, size: (found, size[::-1]))
        return DetectResult(
            images=tuple(found for found, _ in told), sizes=tuple(size for _, size in told), usage=usage
        )

    async def segment(self, request: SegmentRequest) -> SegmentResult:
        """Make masks of the parts of each picture. Raises BadRequest."""
        job = Job("segment", request.labels, request.threshold)
        masks, usage = await self._find(request.images, job, encode_parts)
        return SegmentResult(images=tuple(map(tuple, masks)), usage=usage)

    async def estimate_depth(self, request: EstimateDepthRequest) -> EstimateDepthResult:
        """Estimate how far away each pixel of each picture is. Raises BadRequest."""
        maps, usage = await self._find(request.images, Job("estimate_depth"), encode_depths)
        return EstimateDepthResult(images=tuple(maps), usage=usage)

    async def _find(
        self, images: Sequence[bytes], job: Job, finish: Callable[[Any, Size], Any]
    ) -> tuple[list[Any], Usage]:
        """Return what ``finish`` makes, in a thread, of what is found in each picture and its size."""
        words = await asyncio.to_thread(self._words, job)

        def read(place: int) -> Ready:
            inputs, size = self._prepare(images[place], f"images[{place}]")
            return Ready(job, words, inputs, size)

        def told_of(answer: Answer) -> tuple[Any, int]:
            return finish(answer.found, answer.size), answer.patches

        # What is found takes more memory than what is told of it.
        told = await self._batches.tell(read, range(len(images)), told_of)
        patches = sum(patches for _, patches in told)
        return [found for found, _ in told], Usage(prompt_tokens=words.tokens + patches)

    def _words(self, job: Job) -> Words:
        with self._reading:
            return self._finders[job.task].words(job)

    def _cost(self, ready: Ready) -> int:
        """Return how many of the pictures that go through the model at once this one counts for."""
        height, width = ready.inputs["pixel_values"].shape[-2:]
        share = max(height * width * ready.words.copies / _PIXELS_AT_ONCE, len(ready.job.labels) / _LABELS_AT_ONCE)
        return max(1, math.ceil(share * self._most))

    @torch.inference_mode()
    def _compute(self, group: Sequence[Ready]) -> list[Answer]:
        """Return what is found in each picture of some that are alike."""
        first = group[0]
        rows = [{**_copied(ready.inputs, ready.words.copies), **ready.words.inputs} for ready in group]
        outputs = self._loaded.model(**self._loaded.joined(rows))
        sizes = [ready.size for ready in group]
        found = self._finders[first.job.task].find(_in_float32(outputs), sizes, first.job, first.words)
        patches = self._prepare.patches(first.inputs)
        return [Answer(one, size, patches) for one, size in zip(found, sizes, strict=True)]


def _copied(inputs: Inputs, copies: int) -> Inputs:
    return {name: value.expand(copies, *value.shape[1:]) for name, value in inputs.items()}


def _in_float32(outputs: Any) -> Any:
    """Return the outputs of a model with the numbers at their top in float32, in which they are read."""
    for name, value in outputs.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            outputs[name] = value.float()
    return outputs
