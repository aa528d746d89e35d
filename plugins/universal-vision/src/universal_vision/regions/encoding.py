"""Masks and depths as PNG files."""

from io import BytesIO

import numpy
from PIL import Image

from universal_core import DepthMap, InternalError, Mask
from universal_vision.regions.depth import Depths
from universal_vision.regions.finder import Size
from universal_vision.regions.segment import Part, Parts

_HIGHEST = 65535


def encode_parts(parts: Parts, size: Size) -> list[Mask]:
    """Return each part as a mask of a picture's size: 255 where it is, 0 elsewhere."""
    return [Mask(label=part.label, score=part.score, png=_png(_mask(part, size))) for part in parts]


def encode_depths(depths: Depths, size: Size) -> DepthMap:
    """Return depths, ``[height, width]`` of ``size``, in 16 bits, 0 for the lowest and 65535 for the highest; where all are the same, 0 for all.

    Raises InternalError where the model computed what is no number.
    """
    lowest, highest = float(depths.min()), float(depths.max())
    if not numpy.isfinite([lowest, highest]).all():
        raise InternalError("the model's depths are no numbers; load it with dtype = float32")
    span = highest - lowest
    grey = numpy.rint((depths.astype(numpy.float64) - lowest) * (_HIGHEST / span if span else 0))
    return DepthMap(png=_png(Image.fromarray(grey.astype(numpy.uint16))), lowest=lowest, highest=highest)


def _mask(part: Part, size: Size) -> Image.Image:
    height, width = size
    image = Image.fromarray((part.map == part.number).astype(numpy.uint8) * 255)
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.NEAREST)


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
