"""What stands in a model.bin of CTranslate2: the names, shapes and formats of its weights, read without the library.

The format is that of ctranslate2.specs.model_spec: texts and numbers with their lengths before them, little endian.
"""

from functools import lru_cache
from math import prod
from pathlib import Path
from typing import BinaryIO

import msgspec

from universal_core import LoadFailed

_MOST = 2**20
_VERSIONS = range(4, 7)


class Weight(msgspec.Struct, frozen=True):
    """The shape of a weight, and its bytes in the file."""

    shape: tuple[int, ...]
    size: int

    @property
    def values(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)


def read_weights(path: Path) -> dict[str, Weight]:
    """Return the weights of a file by name. Raises LoadFailed for a file of another form."""
    try:
        state = path.stat()
        return _read(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise LoadFailed(f"{path.name} cannot be read: {error.strerror or error}") from None


@lru_cache(maxsize=64)
def _read(path: Path, size: int, changed: int) -> dict[str, Weight]:
    with path.open("rb") as file:
        if _number(file, 4) not in _VERSIONS:
            raise LoadFailed(f"{path.name} has a version of CTranslate2's format that is not known")
        _text(file)
        _number(file, 4)
        found: dict[str, Weight] = {}
        for _ in range(min(_number(file, 4), _MOST)):
            name = _text(file)
            shape = tuple(_number(file, 4) for _ in range(_number(file, 1)))
            _number(file, 1)
            count = _number(file, 4)
            if file.seek(count, 1) > size:
                raise LoadFailed(f"{path.name} is not whole: it ends before {name} does")
            found[name] = Weight(shape, count)
    return found


def _text(file: BinaryIO) -> str:
    return file.read(_number(file, 2)).rstrip(b"\0").decode(errors="replace")


def _number(file: BinaryIO, length: int) -> int:
    return int.from_bytes(file.read(length), "little")
