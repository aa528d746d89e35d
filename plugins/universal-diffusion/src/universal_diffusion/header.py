"""The head of a safetensors file: what tensors it has, without reading them."""

import math
from pathlib import Path
from typing import Any

import msgspec

_LENGTH_BYTES = 8
_LIMIT = 100 * 2**20
"""The format's own limit of a header's size (https://github.com/huggingface/safetensors#format)."""


class Tensor(msgspec.Struct, frozen=True):
    """A tensor as the header tells of it."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def values(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def read_header(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name, none where the file is not one or cannot be read."""
    try:
        with Path(path).open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            found: dict[str, Any] = msgspec.json.decode(file.read(length)) if length <= _LIMIT else {}
        return {name: msgspec.convert(entry, Tensor) for name, entry in found.items() if name != "__metadata__"}
    except (OSError, msgspec.MsgspecError, AttributeError):
        return {}
