"""A model that says where things are, asked in this process; and the pictures that it is asked about."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
from PIL import Image

from tiny.folder import info_of
from tiny.media import encoded
from universal_core import (
    DetectRequest,
    DetectResult,
    EstimateDepthRequest,
    EstimateDepthResult,
    SegmentRequest,
    SegmentResult,
)
from universal_vision.regions.model import RegionModel
from universal_vision.regions.options import RegionOptions


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return a picture of which no two pixels are alike."""
    pixels = numpy.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    return Image.fromarray(pixels)


def files(*images: Image.Image) -> tuple[bytes, ...]:
    """Return pictures as the bytes of files."""
    return tuple(encoded(image) for image in images)


@contextmanager
def opened(path: Path, **options: Any) -> Iterator[RegionModel]:
    """Load a model on the CPU in float32, unless the options say otherwise, and close it at the end."""
    chosen = RegionOptions(**{"device": "cpu", "dtype": "float32", **options})
    with closing(RegionModel(info_of(path), chosen)) as model:
        yield model


def detect(model: RegionModel, *images: Image.Image, **fields: Any) -> DetectResult:
    """Return what is found."""
    return asyncio.run(model.detect(DetectRequest(images=files(*images), **fields)))


def segment(model: RegionModel, *images: Image.Image, **fields: Any) -> SegmentResult:
    """Return the masks."""
    return asyncio.run(model.segment(SegmentRequest(images=files(*images), **fields)))


def measure(model: RegionModel, *images: Image.Image) -> EstimateDepthResult:
    """Return the depths."""
    return asyncio.run(model.estimate_depth(EstimateDepthRequest(images=files(*images))))


def pixels_of(png: bytes) -> Any:
    """Return the pixels of a file, ``[height, width]``."""
    return numpy.asarray(Image.open(BytesIO(png)))
