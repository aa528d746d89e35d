"""What has been read already: the sequences of a context, and the prefixes kept from finished ones.

All sequences share one store of cells, a cell a token. A sequence that begins like another one shares its cells, at
no cost; a cell is free when the last sequence that has it is gone. So the same system prompt under a hundred chats is
computed once and stored once, and the next turn of a conversation computes only what is new.
"""

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import numpy
from numpy.typing import NDArray


class Memory(Protocol):
    """The part of a decoder that keeps what was read."""

    def copy(self, source: int, target: int, length: int = -1) -> None:
        """Let ``target``, which is empty, share the first ``length`` tokens of ``source``, all by default."""

    def cut(self, sequence: int, length: int = 0) -> bool:
        """Forget what a sequence read after its first ``length`` tokens; False where its state cannot be cut."""


class Held:
    """A sequence in the cache: its number there, the tokens that were read, and the cells that they are in."""

    __slots__ = ("broken", "cells", "number", "tokens")

    def __init__(self, number: int) -> None:
        self.number = number
        self.tokens = array("i")
        self.cells = array("i")
        self.broken = False


class Cells:
    """Counts how many sequences have each cell."""

    def __init__(self, count: int) -> None:
        self.free = list(range(count - 1, -1, -1))
        self._users = numpy.zeros(count, numpy.int32)

    def take(self, count: int) -> list[int]:
        """Return free cells, which have one user from now on."""
        taken = self.free[len(self.free) - count :]
        del self.free[len(self.free) - count :]
        self._users[taken] = 1
        return taken

    def share(self, cells: "array[int]") -> None:
        """Count one more user."""
        self._users[_view(cells)] += 1

    def drop(self, cells: "array[int]") -> None:
        """Count one user less; cells without any are free."""
        numbers = _view(cells)
        self._users[numbers] -= 1
        self.free.extend(numbers[self._users[numbers] == 0].tolist())

    def used_by(self, held: Sequence[Held]) -> int:
        """Return how many cells some sequences have together."""
        used = numpy.zeros(len(self._users), numpy.bool_)
        for one in held:
            used[_view(one.cells)] = True
        return int(used.sum())


class Cache:
    """Hands out sequences that begin with as much as possible of what was read before.

    ``sequences`` is how many numbers there are, for running and kept ones together. Without ``divisible`` a state
    cannot be cut back to an earlier token (recurrent layers): a prefix is of use only as a whole, and only once.
    """

    def __init__(self, memory: Memory, cells: int, sequences: int, *, divisible: bool = True) -> None:
        self.size = cells
        self.sequences = sequences
        self._memory = memory
        self._cells = Cells(cells)
        self._numbers = list(range(sequences - 1, -1, -1))
        self._running: set[Held] = set()
        # In order of their last use.
        self._kept: OrderedDict[Held, None] = OrderedDict()
        self._divisible = divisible

    @property
    def available(self) -> int:
        """How many cells running sequences could still take: those that are free or only kept."""
        return self.size - self._cells.used_by([*self._running])

    def longest(self, tokens: Sequence[int]) -> int:
        """Return how many of the tokens would not have to be computed."""
        return self._best(array("i", tokens))[1]

    def begin(self, tokens: Sequence[int]) -> Held:
        """Return a running sequence that has read the longest known prefix of ``tokens``, but never the last token.

        That one is left, because only reading a token gives logits.
        """
        wanted = array("i", tokens)
        source, length = self._best(wanted)
        if source is None:
            return self._new()
        if source in self._kept and length == len(source.tokens):
            del self._kept[source]
            self._running.add(source)
            return source
        if source in self._kept:
            self._kept.move_to_end(source)
        return self._copy(source, length)

    def fork(self, source: Held) -> Held:
        """Return a running sequence that has read what ``source`` has."""
        return self._copy(source, len(source.tokens))

    def extend(self, held: Held, tokens: Sequence[int]) -> None:
        """Count tokens as read; there must be room for them."""
        held.cells.extend(self._cells.take(len(tokens)))
        held.tokens.extend(tokens)

    def cut(self, held: Held, length: int) -> None:
        """Forget what was read after the first ``length`` tokens."""
        self._memory.cut(held.number, length)
        self._cells.drop(held.cells[length:])
        del held.cells[length:], held.tokens[length:]

    def make_room(self, count: int) -> bool:
        """Give up kept prefixes, least recently used first, until ``count`` cells are free; False if that never is."""
        while len(self._cells.free) < count and self._kept:
            self._drop(self._kept.popitem(last=False)[0])
        return len(self._cells.free) >= count

    def keep(self, held: Held) -> None:
        """End a running sequence, and keep what it has read for those that begin alike."""
        self._running.discard(held)
        if held.broken or not held.tokens:
            self._drop(held)
        else:
            self._kept[held] = None

    def drop(self, held: Held) -> None:
        """End a running sequence and forget what it has read."""
        self._running.discard(held)
        self._drop(held)

    def _drop(self, held: Held) -> None:
        self._memory.cut(held.number)
        self._cells.drop(held.cells)
        self._numbers.append(held.number)

    def _new(self) -> Held:
        if not self._numbers:
            self._drop(self._kept.popitem(last=False)[0])
        held = Held(self._numbers.pop())
        self._running.add(held)
        return held

    def _copy(self, source: Held, length: int) -> Held:
        held = self._new()
        if source.number == held.number:  # The source was the one that made room; its cells are gone.
            return held
        self._memory.copy(source.number, held.number, length if length < len(source.tokens) else -1)
        held.tokens, held.cells = source.tokens[:length], source.cells[:length]
        self._cells.share(held.cells)
        return held

    def _best(self, tokens: "array[int]") -> tuple[Held | None, int]:
        most = len(tokens) - 1
        found: tuple[Held | None, int] = (None, 0)
        for held in [*self._kept, *self._running]:
            length = min(common(held.tokens, tokens), most)
            if not self._divisible and (length < len(held.tokens) or held in self._running):
                continue
            if length > found[1]:
                found = (held, length)
        return found


def _view(numbers: "array[int]") -> NDArray[numpy.int32]:
    return numpy.frombuffer(numbers, numpy.int32) if numbers else numpy.empty(0, numpy.int32)


def common(one: "array[int]", other: Sequence[int]) -> int:
    """Return how many tokens both begin with."""
    length = min(len(one), len(other))
    if not length or one[0] != other[0]:
        return 0
    different = _view(one)[:length] != numpy.asarray(other[:length], numpy.int32)
    place = int(different.argmax())
    return place if different[place] else length
