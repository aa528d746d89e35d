"""Pictures out of files of the usual formats, with all the guards; only the modules of models import this."""

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

import numpy
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from universal_core.errors import BadRequest

Pixels = NDArray[numpy.uint8]

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "ICO", "PPM")
"""What is read, by Pillow's names; of the others some run programs (EPS), some read further files."""

MOST_PIXELS = 89_478_485
"""A quarter of a gigabyte of pixels, beyond which Pillow warns of an attack."""

MOST_STRETCHED = 200
"""How many times longer than wide a picture may be, as in Qwen2-VL's own preprocessing."""

# Sizes are checked here, with an answer to the client.
Image.MAX_IMAGE_PIXELS = None

# What Pillow's readers raise for files that are damaged, cut off or lie about themselves.
_DAMAGED = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, NotImplementedError),
    *(RuntimeError, struct.error, zlib.error, MemoryError),
)
_WHITE = (255, 255, 255, 255)


def read_image(data: bytes, param: str) -> Image.Image:
    """Return a picture in RGB: the first of one that moves, on white if transparent, turned as its EXIF data says.

    Raises what ``open_image`` raises.
    """
    return _read(data, param, _plain)


def read_picture(data: bytes, param: str) -> Pixels:
    """Return the pixels of what ``read_image`` returns, ``[height, width, 3]``."""
    return numpy.asarray(read_image(data, param), numpy.uint8)


def open_image(data: bytes, param: str) -> Image.Image:
    """Return a picture in the mode of its file, with its transparency, turned as its EXIF data says.

    Raises BadRequest, naming ``param``, for what is no picture, a damaged one, one of more than MOST_PIXELS and one
    that is MOST_STRETCHED times longer than wide.
    """
    return _read(data, param, lambda image: image)


def _read(data: bytes, param: str, finish: Callable[[Image.Image], Image.Image]) -> Image.Image:
    try:
        with Image.open(BytesIO(data), formats=_formats()) as image:
            _check(image.size, param)
            # Of full size: Image.draft is faster, but gives other pixels than what models were trained with.
            image.load()
            _turn_upright(image)
            return finish(image)
    except UnidentifiedImageError:
        found = f"{len(data)} bytes that are none" if data else "an empty file"
        raise BadRequest(f"{param}: expected a picture ({', '.join(FORMATS)}), got {found}", param=param) from None
    except _DAMAGED as error:
        words = str(error) or type(error).__name__
        raise BadRequest(f"{param}: the picture is damaged or not whole: {words}", param=param) from None


def _formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _check(size: tuple[int, int], param: str) -> None:
    width, height = size
    if width * height > MOST_PIXELS:
        raise BadRequest(
            f"{param}: the picture has {width} x {height} pixels, and {MOST_PIXELS} are allowed; send a smaller one",
            param=param,
        )
    if not 0 < max(size) <= MOST_STRETCHED * min(size):
        raise BadRequest(
            f"{param}: the picture has {width} x {height} pixels; one side may be at most {MOST_STRETCHED} times as "
            "long as the other",
            param=param,
        )


def _turn_upright(image: Image.Image) -> None:
    # In place, because a copy of 12 megapixels takes half as long as their decoding.
    with suppress(*_DAMAGED):  # The pixels are fine, and cameras write what they want.
        ImageOps.exif_transpose(image, in_place=True)


def _plain(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Sixteen bits of grey, of which Pillow would cut off what is above 255.
        grey = numpy.asarray(image).astype(numpy.uint32) >> 8
        return Image.fromarray(grey.astype(numpy.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, _WHITE), layer).convert("RGB")
    # Pillow's own conversion would copy what is in RGB already.
    return image if image.mode == "RGB" else image.convert("RGB")
