"""Running an image processor on a picture without the copies that it would make of all its pixels."""

from typing import Any

import numpy
from PIL import Image
from transformers.image_processing_backends import PilBackend
from transformers.image_transforms import get_resize_output_image_size, get_size_with_aspect_ratio
from transformers.image_utils import ChannelDimension


def processed(processor: Any, image: Image.Image) -> Any:
    """Return what an image processor of transformers makes of a picture in RGB, as tensors.

    Processors over Pillow turn a picture into an array, and that into a picture again, to resize it. Of twelve
    megapixels that takes twice as long as the resizing, so it is done here beforehand where nothing else comes first.
    """
    size = _size(processor, image)
    if size is None:
        return processor(images=image, return_tensors="pt")
    return processor(images=image.resize(size, processor.resample), do_resize=False, return_tensors="pt")


def _size(processor: Any, image: Image.Image) -> tuple[int, int] | None:
    """Return width and height that a processor would resize a picture to first; None where that is not certain.

    These are the cases of PilBackend.resize; what a processor has in its place is its own affair.
    """
    own = type(processor)
    plain = isinstance(processor, PilBackend) and own.resize is PilBackend.resize
    if not (plain and own._preprocess is PilBackend._preprocess and processor.do_resize):
        return None
    if not isinstance(processor.resample, int):
        return None
    height, width = _target(processor.size, image)
    return (width, height) if width and height else None


def _target(size: Any, image: Image.Image) -> tuple[int, int]:
    if size.shortest_edge and size.longest_edge:
        found = get_size_with_aspect_ratio((image.height, image.width), size.shortest_edge, size.longest_edge)
    elif size.shortest_edge:
        # Only the shape of this array is looked at; it takes a byte.
        shape = numpy.broadcast_to(numpy.uint8(0), (3, image.height, image.width))
        first = ChannelDimension.FIRST
        found = get_resize_output_image_size(
            shape, size=size.shortest_edge, default_to_square=False, input_data_format=first
        )
    else:
        found = (size.height or 0, size.width or 0)
    return int(found[0]), int(found[1])
