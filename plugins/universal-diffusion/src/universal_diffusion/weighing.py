"""What a pipeline needs of memory, told from its files before they are loaded."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from universal_core import ModelInfo
from universal_diffusion.checkpoints import Checkpoint
from universal_diffusion.estimate import Shape
from universal_diffusion.files import Component, Weights
from universal_diffusion.header import read_header
from universal_diffusion.placement import Needs

_HALF_VARIANTS = ("fp16", "bf16")


def needs_of(info: ModelInfo, components: Iterable[Component], element: int) -> Needs:
    """Return what a pipeline needs that computes with values of ``element`` bytes."""
    sizes = [loaded_bytes(info, each.weights, element) for each in components if each.weights]
    return Needs(
        weights=sum(sizes), largest=max(sizes, default=0), shape=Shape.of(configurations_of(info)), element=element
    )


def configurations_of(info: ModelInfo) -> Mapping[str, Any]:
    """Return the configurations of a pipeline's components by their names, as far as the source has read them."""
    found = (name.removesuffix("/config.json") for name in info.documents if name.endswith("/config.json"))
    return {name: info.documents[f"{name}/config.json"] for name in found}


def loaded_bytes(info: ModelInfo, weights: Weights, element: int) -> int:
    """Return the bytes that weights take when loaded as values of ``element`` bytes.

    Exact where the files are here. Of those that are not, a 16-bit variant's are known to be 16 bits, and others are
    taken for what they are loaded as.
    """
    stored = stored_values(info, weights)
    if stored:
        return stored * element
    return weights.size * element // 2 if weights.variant in _HALF_VARIANTS else weights.size


def stored_values(info: ModelInfo, weights: Weights) -> int:
    """Return how many numbers the files of some weights hold, 0 where they are not here or are pickles."""
    return sum(tensor.values for name in _parts(info, weights) for tensor in read_header(name).values())


def is_stored_in(info: ModelInfo, components: Iterable[Component], dtype: str) -> bool:
    """Whether the largest component was saved in a format that safetensors calls ``dtype``, such as F16."""
    largest = max((each.weights for each in components if each.weights), key=lambda found: found.size, default=None)
    names = _parts(info, largest) if largest else []
    return any(tensor.dtype == dtype for name in names[:1] for tensor in read_header(name).values())


def _parts(info: ModelInfo, weights: Weights) -> list[Path]:
    if info.path is None or weights.pickled:
        return []
    return [Path(info.path, name) for name in weights.names if name.endswith(".safetensors")]


def needs_of_checkpoint(info: ModelInfo, checkpoint: Checkpoint, element: int) -> Needs:
    """Return what a pipeline in one file needs, by its own configurations where they stand beside it."""
    size = checkpoint.values * element
    shape = Shape.of(configurations_of(info))
    return Needs(weights=size, largest=size, shape=shape if shape.denoiser else checkpoint.shape, element=element)
