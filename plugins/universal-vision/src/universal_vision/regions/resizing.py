"""Resizing by PyTorch for the image processors that resize masks and depths with torchvision alone."""

from enum import Enum
from importlib import import_module
from types import SimpleNamespace

from torch import Tensor
from torch.nn.functional import interpolate
from transformers.utils.import_utils import is_torchvision_available

_MODULES = {
    "oneformer": "transformers.models.oneformer.image_processing_pil_oneformer",
    "zoedepth": "transformers.models.zoedepth.image_processing_pil_zoedepth",
}


class InterpolationMode(Enum):
    """The modes of torchvision that are used, by PyTorch's names."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


def resize(image: Tensor, size: list[int], interpolation: InterpolationMode, antialias: bool = True) -> Tensor:
    """Return ``[..., channels, height, width]`` in another height and width, as torchvision's function does."""
    whole = image if image.ndim == 4 else image[None]
    mode = interpolation.value
    resized = interpolate(whole, size=tuple(size), mode=mode, align_corners=False, antialias=antialias)
    return resized if image.ndim == 4 else resized[0]


def do_without_torchvision(model_type: str) -> None:
    """Give the processor of such a model this function where torchvision is not installed; else it raises NameError."""
    if model_type in _MODULES and not is_torchvision_available():
        module = import_module(_MODULES[model_type])
        vars(module)["tvF"] = SimpleNamespace(resize=resize, InterpolationMode=InterpolationMode)
