"""Walks through the bytes at the head of a GGUF file, and stops with an explanation where they make no sense."""

import struct
from pathlib import Path
from typing import BinaryIO

import msgspec

from universal_core import LoadFailed

LONGEST_HEAD = 512 * 2**20
"""Bytes beyond which metadata and tensor list are not followed; the largest in use take a few dozen megabytes."""

LONGEST_STRING = 64 * 2**20
LONGEST_NAME = 65535
MOST_ENTRIES = 65536
KEPT_ITEMS = 1024
_PIECE = 2**20

_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: ("uint8", struct.Struct("<B")),
    1: ("int8", struct.Struct("<b")),
    2: ("uint16", struct.Struct("<H")),
    3: ("int16", struct.Struct("<h")),
    4: ("uint32", struct.Struct("<I")),
    5: ("int32", struct.Struct("<i")),
    6: ("float32", struct.Struct("<f")),
    7: ("bool", struct.Struct("<?")),
    10: ("uint64", struct.Struct("<Q")),
    11: ("int64", struct.Struct("<q")),
    12: ("float64", struct.Struct("<d")),
}
_COUNT = struct.Struct("<Q")
_WORD = struct.Struct("<I")

Scalar = int | float | bool | str


class Array(msgspec.Struct, frozen=True):
    """An array of the metadata: the type of its items, how many there are, and the items of a short one."""

    kind: str
    length: int
    items: tuple[Scalar, ...] | None = None


class Scan:
    """A place in the head of a file, which moves on with everything that is read. All methods raise LoadFailed."""

    def __init__(self, file: BinaryIO, path: Path, size: int) -> None:
        """``size`` is the length of the whole file in bytes."""
        self.path = path
        self.size = size
        self.position = 0
        self._file = file
        self._data = bytearray()

    def damaged(self, words: str) -> LoadFailed:
        """Return the error that says what is wrong with the file."""
        return LoadFailed(f"{self.path.name} is not a usable GGUF file: {words}. Download or convert it again")

    def need(self, count: int, what: str) -> None:
        """Bring the next ``count`` bytes into memory."""
        end = self.position + count
        if end > self.size:
            raise self.damaged(f"it ends after {self.size} bytes, in the middle of {what}")
        if end > LONGEST_HEAD:
            raise self.damaged(f"{what} lies beyond {LONGEST_HEAD} bytes of metadata")
        if end > len(self._data):
            wanted = max(end - len(self._data), _PIECE, len(self._data))
            self._data += self._file.read(min(wanted, self.size - len(self._data)))
        if end > len(self._data):
            raise self.damaged(f"it ended while it was read, in the middle of {what}")

    def take(self, count: int, what: str) -> bytes:
        """Return the next bytes."""
        self.need(count, what)
        start, self.position = self.position, self.position + count
        return bytes(self._data[start : self.position])

    def word(self, what: str) -> int:
        """Return a number of 4 bytes."""
        return int(_WORD.unpack(self.take(4, what))[0])

    def count(self, what: str, most: int) -> int:
        """Return a number of 8 bytes that must not exceed ``most``."""
        found = int(_COUNT.unpack(self.take(8, what))[0])
        if found > most:
            raise self.damaged(f"{what} is {found}, and at most {most} makes sense")
        return found

    def name(self, what: str) -> str:
        """Return the name of an entry or a tensor."""
        data = self.take(self.count(f"the length of {what}", LONGEST_NAME), what)
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise self.damaged(f"{what} is not UTF-8 text: {data[:40]!r}") from None

    def value(self, kind: int, key: str) -> Scalar | Array:
        """Return the value of an entry, whose type is the number ``kind``."""
        if kind == _STRING:
            return self._string(key)
        if kind == _ARRAY:
            return self._array(key)
        return self._scalars(kind, 1, key)[0]

    def _string(self, key: str) -> str:
        length = self.count(f"the length of {key}", LONGEST_STRING)
        return self.take(length, key).decode(errors="replace")

    def _array(self, key: str) -> Array:
        kind = self.word(f"the type of the items of {key}")
        length = self.count(f"the number of items of {key}", self.size)
        if kind == _ARRAY:
            raise self.damaged(f"{key} is an array of arrays")
        if kind == _STRING:
            return self._strings(length, key)
        name, form = self._form(kind, key)
        if length <= KEPT_ITEMS:
            return Array(name, length, tuple(self._scalars(kind, length, key)))
        self.need(length * form.size, key)
        self.position += length * form.size
        return Array(name, length)

    def _strings(self, length: int, key: str) -> Array:
        if length <= KEPT_ITEMS:
            return Array("string", length, tuple(self._string(key) for _ in range(length)))
        self.need(8 * length, key)
        left = length
        while left:
            left = self._skip_strings(left, key)
        return Array("string", length)

    def _skip_strings(self, left: int, key: str) -> int:
        """Skip strings as far as their lengths lie in memory, then bring in more; return how many are still to come.

        This is for vocabularies, hundreds of thousands of strings that nobody here looks at: one addition each is
        all that is done, in 9 ms for 152,000 tokens, where making the strings takes 60 ms.
        """
        length_at, data, position = _COUNT.unpack_from, self._data, self.position
        done = 0
        try:
            for done in range(left):  # noqa: B007 - how far it came when it raises
                position += 8 + length_at(data, position)[0]
            done = left
        except (struct.error, OverflowError):
            pass
        self.need(position - self.position, key)
        self.position = position
        if done < left:
            self.need(8, key)
        return left - done

    def _scalars(self, kind: int, count: int, key: str) -> list[int | float | bool]:
        _, form = self._form(kind, key)
        data = self.take(count * form.size, key)
        return [found[0] for found in form.iter_unpack(data)]

    def _form(self, kind: int, key: str) -> tuple[str, struct.Struct]:
        if kind not in _SCALARS:
            raise self.damaged(f"{key} has the type {kind}, which does not exist")
        return _SCALARS[kind]
