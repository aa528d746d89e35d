"""Pictures to be changed, masks, and what a model makes of them."""

from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy
from PIL import Image

from universal_core import EditImageRequest, Event, GenerateImageRequest, ImageRequest, Picture
from universal_core.pictures import Pixels, read_picture


def noise(seed: int = 0, size: tuple[int, int] = (32, 32), mode: str = "RGB") -> Image.Image:
    """Return a picture of random colours."""
    values = numpy.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=numpy.uint8)
    return Image.fromarray(values).convert(mode)


def hole(start: int = 8, size: tuple[int, int] = (32, 32)) -> Image.Image:
    """Return a mask that is white from ``start`` to 8 pixels before its end."""
    mask = Image.new("L", size, 0)
    mask.paste(255, (start, start, size[0] - 8, size[1] - 8))
    return mask


def file_of(image: Image.Image, form: str = "PNG", **settings: Any) -> bytes:
    """Return a picture as a file."""
    file = BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()


def pixels_of(events: Iterable[Event]) -> list[Pixels]:
    """Return the pixels of the finished pictures among events."""
    return [read_picture(event.data, "image") for event in events if isinstance(event, Picture)]


async def events_of(model: Any, request: ImageRequest) -> list[Event]:
    """Return all that a model answers to a request."""
    if isinstance(request, GenerateImageRequest):
        stream = model.generate_image(request)
    else:
        stream = model.edit_image(request) if isinstance(request, EditImageRequest) else model.vary_image(request)
    return [event async for event in stream]
