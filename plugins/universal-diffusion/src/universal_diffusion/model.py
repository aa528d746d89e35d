"""A loaded pipeline: the tasks ``generate_image``, ``edit_image`` and ``vary_image``."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from universal_core import (
    EditImageRequest,
    Event,
    GenerateImageRequest,
    ImageRequest,
    ModelInfo,
    ModelRef,
    Picture,
    Preview,
    Progress,
    VaryImageRequest,
)
from universal_core.pytorch import taken_memory
from universal_diffusion.arguments import Desk
from universal_diffusion.encoding import Facts, encode
from universal_diffusion.engine import Engine, Painted, Unfinished
from universal_diffusion.inputs import Inputs, read_inputs, read_original
from universal_diffusion.load import load
from universal_diffusion.loras import Loras
from universal_diffusion.options import DiffusionOptions
from universal_diffusion.order import Order
from universal_diffusion.painter import Painter
from universal_diffusion.pipelines import Pipelines
from universal_diffusion.schedulers import Schedulers


class DiffusionModel:
    """Makes pictures for many requests, those that ask for the same kind of picture together."""

    def __init__(self, info: ModelInfo, options: DiffusionOptions, report: Callable[[Progress], None]) -> None:
        loaded = load(info, options, report)
        # What they remark on at each call is said to programmers, or by this plugin to those who ask for a picture.
        diffusers_logging.set_verbosity_error()  # type: ignore[no-untyped-call, unused-ignore]
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        self._name = _name_of(info)
        self._device = loaded.device
        self._pipelines = Pipelines(loaded.pipeline)
        schedulers = Schedulers(loaded.pipeline, options.scheduler)
        self._desk = Desk(self._pipelines, schedulers, options)
        self._loras = Loras(loaded.pipeline, options, self._name)
        painter = Painter(loaded, self._pipelines, schedulers, self._loras, options.threads)
        self._engine = Engine(painter, options.max_batch)
        self._own_scheduler = schedulers.own_name

    @property
    def requests(self) -> int:
        """How many requests are on their way."""
        return self._engine.orders

    async def generate_image(self, request: GenerateImageRequest) -> AsyncGenerator[Event, None]:
        """Make pictures of what a prompt describes."""
        async with aclosing(self._answer(request, Inputs())) as events:
            async for event in events:
                yield event

    async def edit_image(self, request: EditImageRequest) -> AsyncGenerator[Event, None]:
        """Paint anew what a mask shows, or change pictures as an instruction says."""
        inputs = await asyncio.to_thread(read_inputs, request)
        async with aclosing(self._answer(request, inputs)) as events:
            async for event in events:
                yield event

    async def vary_image(self, request: VaryImageRequest) -> AsyncGenerator[Event, None]:
        """Make pictures that are like another one."""
        inputs = await asyncio.to_thread(read_original, request.image)
        async with aclosing(self._answer(request, inputs)) as events:
            async for event in events:
                yield event

    def close(self) -> None:
        """Stop at the next step; what is still being painted fails."""
        self._engine.close()

    def device_memory(self) -> int:
        """Return the bytes that are taken on an accelerator."""
        return taken_memory(self._device)

    async def _answer(self, request: ImageRequest, inputs: Inputs) -> AsyncGenerator[Event, None]:
        # At once where there is nothing to resize: requests that come together then find themselves in one batch.
        order = self._desk.order(request, inputs) if not inputs.images else await self._resized(request, inputs)
        if missing := self._loras.missing(order.settings.loras):
            # A download takes its time, which is nobody else's.
            await asyncio.to_thread(self._loras.fetch, missing)
        async with aclosing(self._engine.paint(order)) as news:
            async for each in news:
                if isinstance(each, Painted):
                    # In a thread, while the next batch is under way.
                    yield await asyncio.to_thread(self._picture, request, order, each)
                elif isinstance(each, Unfinished):
                    yield await asyncio.to_thread(_preview, request, each)
                else:
                    yield each

    async def _resized(self, request: ImageRequest, inputs: Inputs) -> Order:
        return await asyncio.to_thread(self._desk.order, request, inputs)

    def _picture(self, request: ImageRequest, order: Order, painted: Painted) -> Picture:
        facts = self._facts(request, order, painted)
        return Picture(
            data=encode(painted.image, request.format, request.compression, facts),
            format=request.format,
            width=painted.image.width,
            height=painted.image.height,
            seed=facts.seed,
            index=painted.index,
        )

    def _facts(self, request: ImageRequest, order: Order, painted: Painted) -> Facts:
        return Facts(
            model=self._name,
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            steps=order.settings.steps,
            scheduler=order.settings.scheduler or self._own_scheduler,
            guidance_scale=order.guidance,
            seed=order.rows[painted.index].seed,
            size=painted.image.size,
            strength=order.strength,
            clip_skip=request.clip_skip,
            loras=tuple((lora.model, lora.scale) for lora in request.loras),
        )


def _name_of(info: ModelInfo) -> str:
    """Return what a model is called before others: never a path on the server's disk."""
    return Path(info.id).name if ModelRef.parse(info.id).is_path else info.id


def _preview(request: ImageRequest, unfinished: Unfinished) -> Preview:
    data = encode(unfinished.image, request.format, request.compression)
    return Preview(data=data, index=unfinished.index, number=unfinished.number)
