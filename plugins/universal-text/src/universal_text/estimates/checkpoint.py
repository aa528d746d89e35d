"""What the weights of a model take once they are loaded, told from the headers of its files."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from universal_core import ModelInfo, has_bfloat16

# Bytes a number, by the name of its format in a safetensors file.
_SIZES = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "F16": 2,
    "BF16": 2,
    "I16": 2,
    "U16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
_FLOATS = frozenset(("F64", "F32", "F16", "BF16"))
_LONGEST_HEADER = 100_000_000
"""What the library itself reads at most."""

HALF = ("bfloat16", "float16")


class Weight(NamedTuple):
    """A tensor of a file: its name, shape and bytes a number, and whether its numbers are brought to another format."""

    name: str
    shape: tuple[int, ...]
    size: int
    floating: bool

    @property
    def numbers(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def weights_of(info: ModelInfo, names: Iterable[str]) -> tuple[Weight, ...]:
    """Return what the headers of some safetensors files tell, nothing where they are not here or cannot be read."""
    if info.path is None:
        return ()
    folder, found = Path(info.path), list[Weight]()
    try:
        for name in names:
            if name.endswith(".safetensors"):
                found += map(_weight, *zip(*_header(folder / name).items(), strict=True))
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return tuple(found)


def loaded_bytes(
    info: ModelInfo, names: Iterable[str], number: int, size: Callable[[Weight], float] | None = None
) -> int:
    """Return what weights take where a number takes ``number`` bytes; ``size`` tells it for each of them.

    Where the files are not on this machine, their sizes and what config.json says of their format have to do.
    """
    names = tuple(names)
    weights = _untied(weights_of(info, names), info.config)
    if weights:
        each = size or (lambda weight: number)
        return sum(int(weight.numbers * (each(weight) if weight.floating else weight.size)) for weight in weights)
    return info.size_of(*names) * number // (2 if saved_format(info.config) in HALF else 4)


def saved_format(config: Mapping[str, Any]) -> str | None:
    """Return the number format that a configuration names, that of its language model first."""
    inner = config.get("text_config")
    parts = (inner if isinstance(inner, dict) else {}, config)
    told = (part.get(name) for part in parts for name in ("dtype", "torch_dtype"))
    return next((found for found in told if isinstance(found, str)), None)


def number_size(dtype: str, saved: str | None, device: str) -> int:
    """Return the bytes of a number of a model that is loaded on a device with the option ``dtype``.

    ``saved`` is the format that it was saved in; ``auto`` is what ``universal_core.pytorch.pick_dtype`` makes of it.
    """
    if dtype != "auto":
        return 2 if dtype in HALF else 4
    if saved not in HALF or (device == "cpu" and not has_bfloat16()):
        return 4
    return 2


def is_matrix(weight: Weight) -> bool:
    """Whether a weight is that of a linear layer, as far as its name and shape tell."""
    return len(weight.shape) == 2 and "embed" not in weight.name


def _header(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _LONGEST_HEADER:
            raise ValueError(f"{path} has a header of {length} bytes")
        found: dict[str, Any] = json.loads(file.read(length))
    found.pop("__metadata__", None)
    return found


def _weight(name: str, told: Mapping[str, Any]) -> Weight:
    kind = str(told["dtype"])
    return Weight(name, tuple(map(int, told["shape"])), _SIZES.get(kind, 1), kind in _FLOATS)


def _untied(weights: tuple[Weight, ...], config: Mapping[str, Any]) -> tuple[Weight, ...]:
    """Leave out the last layer of a model that has it in common with its embedding, where a file has it twice."""
    if config.get("tie_word_embeddings") is not True or not any("embed" in weight.name for weight in weights):
        return weights
    return tuple(weight for weight in weights if not weight.name.endswith("lm_head.weight"))
