"""From the bytes of a picture to what a model reads."""

from typing import Any

from PIL import Image
from torch import Tensor

from universal_core.pictures import read_image
from universal_vision.loading import Inputs
from universal_vision.processing import processed


class PictureReader:
    """Decodes, resizes and normalizes pictures as the model's image processor does."""

    def __init__(self, processor: Any, config: Any) -> None:
        """``processor`` is an image processor of transformers, ``config`` the model's configuration."""
        self._processor = processor
        self._patch = _patch_of(config)

    def read(self, data: bytes, param: str) -> Inputs:
        """Return one picture, ready; raises BadRequest naming ``param`` for bytes that are none."""
        return self.prepare(read_image(data, param))

    def prepare(self, image: Image.Image) -> Inputs:
        """Return a picture in RGB, ready."""
        made = processed(self._processor, image)
        return {name: values for name, values in made.items() if isinstance(values, Tensor)}

    def patches(self, inputs: Inputs) -> int:
        """Return how many patches a picture is cut into, 0 for a network that has none."""
        if "pixel_attention_mask" in inputs:
            return int(inputs["pixel_attention_mask"].sum())
        height, width = inputs["pixel_values"].shape[-2:]
        return (height // self._patch) * (width // self._patch) if self._patch else 0


def _patch_of(config: Any) -> int:
    size = getattr(getattr(config, "vision_config", config), "patch_size", None)
    return size if isinstance(size, int) else 0
