"""Pictures made ready for a model as its image processor does it."""

import math
from typing import Any

from PIL import Image

from universal_core import BadRequest
from universal_core.pictures import read_image
from universal_vision.encoders.pictures import PictureReader
from universal_vision.loading import Inputs
from universal_vision.regions.finder import Size

_PIXELS = "pixel_values"


class Preparation:
    """Makes pictures ready one by one: what is padded to the size of another gives other answers than alone."""

    def __init__(self, processor: Any, config: Any, max_pixels: int) -> None:
        """A picture beyond ``max_pixels`` is made smaller first if the processor has no size of its own.

        Raises ValueError for a processor that cuts pictures into pieces.
        """
        self._reader = PictureReader(processor, config)
        small, large = (self._reader.prepare(Image.new("RGB", (2 * side, side)))[_PIXELS] for side in (256, 512))
        if len(small) != 1 or len(large) != 1:
            raise ValueError("its image processor cuts a picture into pieces, which this backend does not put together")
        self._most = max_pixels if large.numel() > small.numel() else None

    def __call__(self, data: bytes, param: str) -> tuple[Inputs, Size]:
        """Return the inputs of the model for a picture, ``[1, ...]`` each, and the size of the picture upright.

        Raises BadRequest, naming ``param``, for what is no picture or has too few pixels for the model.
        """
        image = read_image(data, param)
        width, height = image.size
        try:
            return self._reader.prepare(self._smaller(image)), (height, width)
        except (ValueError, RuntimeError, ZeroDivisionError) as error:  # A side would be shorter than a pixel.
            raise BadRequest(
                f"{param}: a picture of {width} x {height} pixels is too small or too narrow for this model; send a "
                "larger one",
                param=param,
            ) from error

    def patches(self, inputs: Inputs) -> int:
        """Return how many patches a picture is cut into, 0 for a model that has none."""
        return self._reader.patches(inputs)

    def _smaller(self, image: Image.Image) -> Image.Image:
        pixels = image.width * image.height
        if self._most is None or pixels <= self._most:
            return image
        scale = math.sqrt(self._most / pixels)
        size = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
        return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
