"""Calls a pipeline for the pictures of a batch."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import torch
from diffusers import DiffusionPipeline
from PIL import Image

from universal_core import BadRequest, InsufficientMemory
from universal_core.pytorch import use_threads
from universal_diffusion.load import Loaded
from universal_diffusion.memory import check_room, free_memory, tile
from universal_diffusion.order import Row, Settings
from universal_diffusion.pipelines import Pipelines, parameters
from universal_diffusion.previews import Expectation, decode
from universal_diffusion.prompts import notices_of, skip_layers
from universal_diffusion.schedulers import Schedulers, decoder_of, draw_from

Decode = Callable[[list[int]], list[Image.Image]]
"""Gives unfinished pictures of the rows that are named; none where the model's latents cannot be decoded halfway."""


class Watch(Protocol):
    """Hears how far a batch has come."""

    @property
    def wants_previews(self) -> bool:
        """Whether ``step`` will ever ask for unfinished pictures."""

    def step(self, done: int, total: int, unfinished: Decode) -> None:
        """Take note of a finished step; whatever this raises stops the pipeline."""


class Adapters(Protocol):
    """Activates adapters of the weights."""

    def use(self, loras: Any) -> None:
        """Let exactly these adapters act from now on."""


class Painter:
    """Makes pictures, a batch at a time and in one thread: pipelines keep the state of a call in themselves.

    ``threads`` is how many compute, None for as many as there are cores for at each step.
    """

    def __init__(
        self,
        loaded: Loaded,
        pipelines: Pipelines,
        schedulers: Schedulers,
        adapters: Adapters,
        threads: int | None = None,
    ) -> None:
        self._loaded = loaded
        self._pipelines = pipelines
        self._schedulers = schedulers
        self._adapters = adapters
        self._threads = threads

    def room(self, settings: Settings, wanted: int) -> int:
        """Return how many pictures, up to ``wanted``, can be made together; raises InsufficientMemory for none."""
        free = free_memory(self._loaded.device)
        for pictures in range(1 if settings.solo else wanted, 1, -1):
            try:
                self._check(settings, pictures, free)
            except InsufficientMemory:
                continue
            return pictures
        self._check(settings, 1, free)
        return 1

    def _check(self, settings: Settings, pictures: int, free: int) -> None:
        needs, placement = self._loaded.needs, self._loaded.placement
        check_room(needs, placement, settings.size, pictures, guided=settings.doubled, free=free)

    def notices(self, settings: Settings, row: Row) -> tuple[str, ...]:
        """Return what a client should know about its prompts."""
        # In the painting thread as everything here: a tokenizer cannot serve two at once.
        pipeline = self._pipelines.get(settings.way)
        return notices_of(pipeline, prompt=row.prompt, negative_prompt=row.negative_prompt)

    def paint(self, settings: Settings, rows: list[Row], watch: Watch) -> list[Image.Image | None]:
        """Return a picture for each row, None for one that the model's safety checker hides.

        Raises BadRequest for what the pipeline refuses before its first step.
        """
        use_threads(self._threads)
        pipeline = self._pipelines.get(settings.way)
        self._adapters.use(settings.loras)
        tile(getattr(pipeline, "vae", None), self._loaded.placement, settings.size)
        try:
            hidden, images = self._run(pipeline, settings, rows, watch)
        finally:
            self._forget(pipeline)
        return [None if hide else image for image, hide in zip(images, hidden or [False] * len(rows), strict=True)]

    def _run(
        self, pipeline: Any, settings: Settings, rows: list[Row], watch: Watch
    ) -> tuple[list[bool], list[Image.Image]]:
        """Return which pictures the safety checker hides, and all of them."""
        scheduler = self._schedulers.make(settings.scheduler)
        generators = _generators(rows)
        draw_from(scheduler, generators)
        expectation = Expectation(scheduler) if watch.wants_previews else None
        decoder_of(pipeline).scheduler = scheduler

        def unfinished(wanted: list[int]) -> list[Image.Image]:
            latents = expectation.latents() if expectation else None
            return decode(pipeline, latents[wanted], settings.size) if latents is not None else []

        steps = _Steps(watch, unfinished, self._threads)
        for part in (pipeline, *_parts(pipeline)):
            part.progress_bar = steps.bar
        arguments = {"generator": generators, **_arguments(pipeline, settings, rows)}
        return self._call(pipeline, arguments, steps)

    def _forget(self, pipeline: Any) -> None:
        # Through them a batch's latents and pictures would stay in memory until the next one.
        decoder_of(pipeline).scheduler = self._schedulers.make(None)
        for part in (pipeline, *_parts(pipeline)):
            vars(part).pop("progress_bar", None)

    def _call(self, pipeline: Any, arguments: dict[str, Any], steps: "_Steps") -> tuple[list[bool], list[Image.Image]]:
        finished = False
        try:
            result = pipeline(**arguments)
            finished = True
        except ValueError as error:
            if steps.done:
                raise
            param = "size" if "height" in str(error) else None
            raise BadRequest(f"the model cannot do this: {error}", param=param) from error
        finally:
            if not finished:
                pipeline.maybe_free_model_hooks()
        return getattr(result, "nsfw_content_detected", None) or [], result.images


class _Steps:
    """Stands where a pipeline's progress bars are, which every pipeline moves on at each step."""

    def __init__(self, watch: Watch, unfinished: Decode, threads: int | None) -> None:
        self.done = 0
        self._threads = threads
        self._before = 0
        self._watch = watch
        self._unfinished = unfinished

    def bar(self, iterable: Iterable[Any] | None = None, total: int | None = None) -> "_Bar":
        """Return a bar over the steps of ``iterable``, or over ``total`` steps, after those of the bars before."""
        items = None if iterable is None else list(iterable)
        bar = _Bar(self, items, len(items) if items is not None else total or 0)
        self._before, bar.before = self._before + bar.total, self._before
        return bar

    def step(self, total: int) -> None:
        """Count a step and tell of it; the next one computes with the threads that there are cores for now."""
        self.done += 1
        use_threads(self._threads)
        self._watch.step(self.done, total, self._unfinished)


class _Bar:
    """What a pipeline takes for a progress bar."""

    def __init__(self, steps: _Steps, items: list[Any] | None, total: int) -> None:
        self.total = total
        self.before = 0
        self._steps = steps
        self._items = items

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        for item in self._items or ():
            yield item
            self.update()

    def update(self, count: int = 1) -> None:
        """Count a step."""
        for _ in range(count):
            self._steps.step(self.before + self.total)


def _arguments(pipeline: Any, settings: Settings, rows: list[Row]) -> dict[str, Any]:
    """Return what the call is given: lists with something for each row, and what all have in common."""
    takes = parameters(pipeline)
    prompts = [row.prompt for row in rows]
    found: dict[str, Any] = {"output_type": "pil", **dict(settings.keywords)}
    if settings.clip_skip is not None:
        found |= _skipping(pipeline, prompts, settings.clip_skip)
    if "prompt_embeds" not in found and "prompt" in takes:
        found["prompt"] = _one_or_all(prompts)
    if settings.guided:
        found["negative_prompt"] = _one_or_all(
            [row.negative_prompt for row in rows], alone="prompt_embeds" not in found
        )
    return found | _pictures(takes, settings, rows)


def _generators(rows: list[Row]) -> Any:
    # For the few parts that take no generator.
    torch.manual_seed(rows[0].seed)
    # On the processor, so that the same seed is the same picture on every device.
    return _one_or_all([torch.Generator("cpu").manual_seed(row.seed) for row in rows])


def _skipping(pipeline: Any, prompts: list[str], skipped: int) -> dict[str, Any]:
    embedded = skip_layers(pipeline, prompts, skipped)
    return {"clip_skip": skipped} if embedded is None else {"prompt_embeds": embedded}


def _pictures(takes: Any, settings: Settings, rows: list[Row]) -> dict[str, Any]:
    first = rows[0].inputs
    if not first.images:
        return {}
    if settings.way == "instruct":
        return {"image": list(first.images) if len(first.images) > 1 else first.images[0]}
    found: dict[str, Any] = {"image": _one_or_all([row.inputs.images[0] for row in rows])}
    if "mask_image" in takes:
        found["mask_image"] = _one_or_all([row.inputs.mask for row in rows])
    return found


def _one_or_all(values: list[Any], *, alone: bool = True) -> Any:
    """Return the one value as itself: some pipelines take no lists."""
    return values[0] if alone and len(values) == 1 else values


def _parts(pipeline: Any) -> list[Any]:
    """Return the pipelines that a pipeline is put together from."""
    return [part for part in vars(pipeline).values() if isinstance(part, DiffusionPipeline)]
