"""What the echo backend paints: a picture of one colour, which follows from the request, with the request in it.

A prompt with the word ``count`` is answered with a Usage too; one that begins with ``die``, ``fail`` or ``wait`` ends
that way.
"""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from universal_core import (
    EditImageRequest,
    Event,
    GenerateImageRequest,
    ImageRequest,
    Picture,
    Preview,
    Step,
    UnsupportedField,
    Usage,
    VaryImageRequest,
)
from universal_core.testing.png import make_png

IMAGE_TASKS = ("generate_image", "edit_image", "vary_image")
IMAGE_FIELDS = ("guidance_scale", "negative_prompt", "loras", "mask", "strength")
"""What the echo backend honours; the scheduler and clip_skip it refuses."""

USUAL_STEPS = 4
USUAL_SIZE = (8, 8)
AWKWARD_STEP = 3
"""The step at which it does not go on where the prompt begins with die, fail or wait."""


class EchoPainter:
    """The tasks of pictures; ``_delay`` is the seconds between two steps."""

    _delay: float

    def generate_image(self, request: GenerateImageRequest) -> AsyncIterator[Event]:
        """Paint what the prompt says, more or less."""
        return self._paint(request)

    def edit_image(self, request: EditImageRequest) -> AsyncIterator[Event]:
        """Paint another colour for other pictures."""
        return self._paint(request)

    def vary_image(self, request: VaryImageRequest) -> AsyncIterator[Event]:
        """Paint another colour for another picture."""
        return self._paint(request)

    async def _paint(self, request: ImageRequest) -> AsyncIterator[Event]:
        if request.format != "png":
            raise UnsupportedField("output_format: the echo backend makes png alone", param="output_format")
        total = request.num_inference_steps or USUAL_STEPS
        for done in range(1, total + 1):
            await asyncio.sleep(self._delay)
            if done == AWKWARD_STEP:
                await misbehave(request.prompt)
            yield Step(done=done, total=total)
            for number in previews_after(done, total, request.previews):
                for index in range(request.n):
                    yield Preview(data=painting(request, index, done), index=index, number=number)
        for index in range(request.n):
            yield finished(request, index)
        if "count" in request.prompt:
            yield Usage(prompt_tokens=len(request.prompt.split()), completion_tokens=total)


async def misbehave(prompt: str) -> None:
    """End the process, fail, or wait for ever, where the prompt begins with that word."""
    if prompt.startswith("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    if prompt.startswith("fail"):
        raise RuntimeError("asked to fail")
    if prompt.startswith("wait"):
        await asyncio.Event().wait()


def previews_after(done: int, total: int, previews: int) -> range:
    """Return the numbers of the previews that are due after a step: evenly spread, and none after the last."""
    before, now = ((step * (previews + 1)) // total for step in (done - 1, done))
    return range(before, min(now, previews))


def finished(request: ImageRequest, index: int) -> Picture:
    """Return one of the request's pictures."""
    width, height = request.size or USUAL_SIZE
    data = painting(request, index, 0)
    return Picture(data=data, format="png", width=width, height=height, seed=(request.seed or 0) + index, index=index)


def painting(request: ImageRequest, index: int, step: int) -> bytes:
    """Return a file whose colour follows from all that was asked."""
    width, height = request.size or USUAL_SIZE
    asked = msgspec.json.encode(described(request)).decode()
    colour = hashlib.sha256(f"{asked} {index} {step}".encode()).digest()[:3]
    return make_png(width, height, colour, {"request": asked.encode("ascii", "backslashreplace").decode()})


def described(request: ImageRequest) -> dict[str, Any]:
    """Return the request's fields, with the sizes of files in their place."""
    fields = {name: getattr(request, name) for name in request.__struct_fields__}
    return {name: sizes(value) for name, value in fields.items()}


def sizes(value: Any) -> Any:
    """Return how many bytes each file has, and anything else as it is."""
    if isinstance(value, tuple) and value and isinstance(value[0], bytes):
        return [len(data) for data in value]
    return len(value) if isinstance(value, bytes) else value
