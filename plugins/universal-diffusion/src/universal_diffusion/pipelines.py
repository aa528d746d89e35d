"""One set of weights, and for each way of using it a pipeline object that is made when first needed."""

import inspect
import math
import threading
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

from diffusers import AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image

from universal_core import TaskNotSupported

Way = Literal["text", "image", "inpaint", "instruct"]
"""Pictures from a prompt alone; from one with another picture; within a mask; from an instruction to change one."""

_MAKERS: Mapping[Way, Any] = {
    "text": AutoPipelineForText2Image,
    "image": AutoPipelineForImage2Image,
    "inpaint": AutoPipelineForInpainting,
}
_MADE: Mapping[Way, str] = {
    "text": "pictures from text alone",
    "image": "pictures from other pictures",
    "inpaint": "parts of pictures anew",
    "instruct": "pictures by instructions",
}
# What is known of offloading stands on the pipeline object, not on the weights.
_OFFLOADING = ("_all_hooks", "_offload_device", "_offload_gpu_id")
_USUAL_MULTIPLE = 8
_UNKNOWN_MULTIPLE = 64
_UNKNOWN_SIZE = 1024
# diffusers' tables of shapes, from which some pipelines take the nearest and resize, begin with those of 256 pixels.
_SMALLEST_TABLE = 256


class Pipelines:
    """The pipelines over the weights of the one that was loaded."""

    def __init__(self, loaded: Any) -> None:
        self.loaded = loaded
        self._made: dict[Way, Any] = {}
        self._making = threading.Lock()
        loaded.set_progress_bar_config(disable=True)

    def find(self, way: Way) -> Any | None:
        """Return the pipeline for a way of using the weights, None where these cannot be used so."""
        with self._making:
            if way not in self._made:
                self._made[way] = self._make(way)
            return self._made[way]

    def get(self, way: Way) -> Any:
        """Return the pipeline for a way of using the weights; raises TaskNotSupported where there is none."""
        found = self.find(way)
        if found is None:
            raise TaskNotSupported(f"{type(self.loaded).__name__} makes no {_MADE[way]}", param="model")
        return found

    def _make(self, way: Way) -> Any | None:
        if way == "instruct":
            return self._editor()
        if self._is_bound and way != "inpaint":
            return None
        found = self.loaded if self._is_bound else _related(self.loaded, way)
        takes = parameters(found) if found is not None else {}
        # What changes a picture as it is told takes no measure of how far to go.
        return None if way != "text" and "strength" not in takes and "mask_image" not in takes else found

    def _editor(self) -> Any | None:
        found = _related(self.loaded, "image") or self.loaded
        takes = parameters(found)
        return found if "image" in takes and not {"strength", "mask_image"} & takes.keys() else None

    @property
    def _is_bound(self) -> bool:
        """Whether the weights need a mask: their network reads it, and the picture, beside the latents."""
        if "mask_image" not in parameters(self.loaded):
            return False
        latents = getattr(getattr(self.loaded, "vae", None), "config", {}).get("latent_channels")
        unet = getattr(self.loaded, "unet", None)
        if unet is not None and latents:
            return int(unet.config.in_channels) > int(latents)
        return _related(self.loaded, "inpaint") is None


def parameters(pipeline: Any) -> Mapping[str, inspect.Parameter]:
    """Return what calling a pipeline takes."""
    return _parameters(type(pipeline))  # type: ignore[arg-type]  # mypy takes a class for something unhashable


def call_defaults(pipeline: Any) -> dict[str, Any]:
    """Return the values that a call has for what it is not given."""
    found = parameters(pipeline).values()
    return {parameter.name: parameter.default for parameter in found if parameter.default is not parameter.empty}


def default_size(pipeline: Any) -> tuple[int, int]:
    """Return the width and height that a pipeline makes when it is told none."""
    defaults = call_defaults(pipeline)
    if defaults.get("width") and defaults.get("height"):
        return int(defaults["width"]), int(defaults["height"])
    sample = getattr(pipeline, "default_sample_size", None) or getattr(_denoiser(pipeline), "sample_size", None)
    if not sample:
        return _UNKNOWN_SIZE, _UNKNOWN_SIZE
    height, width = sample if isinstance(sample, list | tuple) else (sample, sample)
    scale = vae_scale(pipeline) or 1
    return int(width) * scale, int(height) * scale


def size_multiple(pipeline: Any) -> int:
    """Return what width and height must be multiples of, so that a pipeline neither refuses nor rounds them."""
    scale = vae_scale(pipeline)
    if scale is None:
        return _USUAL_MULTIPLE if hasattr(pipeline, "unet") else _UNKNOWN_MULTIPLE
    processor = getattr(getattr(pipeline, "image_processor", None), "config", {})
    config = _denoiser(pipeline)
    patch = getattr(config, "patch_size", None) or max(getattr(config, "all_patch_size", None) or (1,))
    patch = max(patch) if isinstance(patch, list | tuple) else patch
    return math.lcm(_USUAL_MULTIPLE, int(processor.get("vae_scale_factor", scale)), scale * int(patch))


def bins_sizes(pipeline: Any) -> bool:
    """Whether a pipeline makes the nearest shape of a table and resizes it, and the model has such a table."""
    if "use_resolution_binning" not in parameters(pipeline):
        return False
    sample = getattr(_denoiser(pipeline), "sample_size", None) or 0
    height = sample[0] if isinstance(sample, list | tuple) else sample
    return int(height) * (vae_scale(pipeline) or 1) >= _SMALLEST_TABLE


def vae_scale(pipeline: Any) -> int | None:
    """Return how many pixels one latent is wide and high, None for a pipeline without latents of that kind."""
    scale = getattr(pipeline, "vae_scale_factor", None)
    return int(scale) if scale else None


def _denoiser(pipeline: Any) -> Any:
    network = getattr(pipeline, "transformer", None) or getattr(pipeline, "unet", None)
    return getattr(network, "config", None)


@cache
def _parameters(pipeline_class: Any) -> Mapping[str, inspect.Parameter]:
    call: Callable[..., Any] = pipeline_class.__call__
    return {name: found for name, found in inspect.signature(call).parameters.items() if name != "self"}


def _related(loaded: Any, way: Way) -> Any | None:
    """Return the pipeline that diffusers has for the same weights: the loaded one itself where it is of that class."""
    try:
        made = _MAKERS[way].from_pipe(loaded)
    except ValueError:
        return None
    if type(made) is type(loaded):
        return loaded
    for name in _OFFLOADING:
        if name in loaded.__dict__:
            setattr(made, name, loaded.__dict__[name])
    made.set_progress_bar_config(disable=True)
    return made
