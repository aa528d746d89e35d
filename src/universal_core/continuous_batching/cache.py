"""What has been read already: the sequences of a context, and the prefixes kept from finished ones.

All sequences share one store of cells, a cell a token. Where the memory can, a sequence that begins like another one
shares its cells, at no cost; a cell is free when the last sequence that has it is gone. So the same system prompt under
a hundred chats is computed once and stored once, and the next turn of a conversation computes only what is new. Where
it cannot, what both begin with is copied: computed once and stored twice.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy
from numpy.typing import NDArray


class Memory(Protocol):
    """The part of a decoder that keeps what was read."""

    def copy(self, source: int, target: int, length: int = -1) -> None:
        """Let ``target``, which is empty, share the first ``length`` positions of ``source``, all by default."""

    def cut(self, sequence: int, length: int = 0) -> bool:
        """Forget what a sequence read after its first ``length`` positions; False where its state cannot be cut."""

    def reaches(self, sequence: int, length: int) -> bool:
        """Whether all is there still that reading on after ``length`` positions of a sequence looks back at."""


class Span(NamedTuple):
    """A picture or a recording among tokens: how many of them it takes, and how many positions, which may be less."""

    tokens: int
    positions: int


class Held:
    """A sequence in the cache: its number there, the tokens that were read, and the cells that they are in.

    What was read with an ``adapter`` is of use to that adapter alone. ``spans`` are the pictures and recordings among
    the tokens, by the places where they begin.
    """

    __slots__ = ("adapter", "broken", "cells", "number", "spans", "tokens")

    def __init__(self, number: int, adapter: str | None = None) -> None:
        self.number = number
        self.adapter = adapter
        self.tokens = array("i")
        self.cells = array("i")
        self.spans: dict[int, Span] = {}
        self.broken = False

    def position(self, length: int) -> int:
        """Return the position after the first ``length`` tokens."""
        passed = (span for place, span in self.spans.items() if place + span.tokens <= length)
        return length - sum(span.tokens - span.positions for span in passed)

    def whole(self, length: int) -> int:
        """Return how many of the first ``length`` tokens are left where no picture or recording is divided."""
        cut = (place for place, span in self.spans.items() if place < length < place + span.tokens)
        return next(cut, length)


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

    def of(self, held: Iterable[Held]) -> NDArray[numpy.bool_]:
        """Return for each cell whether one of some sequences has it."""
        used = numpy.zeros(len(self._users), numpy.bool_)
        for one in held:
            used[_view(one.cells)] = True
        return used


class Cache:
    """Hands out sequences that begin with as much as possible of what was read before.

    ``sequences`` is how many numbers there are, for running and kept ones together. Without ``divisible`` a state
    cannot be cut back to an earlier token (recurrent layers): a prefix is of use only as a whole, and only once. Where
    the memory ``shares``, a cell is that of all sequences that begin alike; else a copy has cells of its own.
    """

    def __init__(
        self, memory: Memory, cells: int, sequences: int, *, divisible: bool = True, shares: bool = True
    ) -> None:
        self.size = cells
        self.sequences = sequences
        self._memory = memory
        self._cells = Cells(cells)
        self._numbers = list(range(sequences - 1, -1, -1))
        self._running: set[Held] = set()
        # In order of their last use.
        self._kept: OrderedDict[Held, None] = OrderedDict()
        self._divisible = divisible
        self._shares = shares

    @property
    def available(self) -> int:
        """How many cells running sequences could still take: those that are free or only kept."""
        return self.size - int(self._cells.of(self._running).sum())

    @property
    def has_number(self) -> bool:
        """Whether one more sequence can run: a number is free, or only kept."""
        return bool(self._numbers or self._kept)

    def needed(self, tokens: Sequence[int], most: int | None = None, adapter: str | None = None) -> int:
        """Return how many of the available cells a sequence takes that reads all these tokens, as ``begin`` lets it.

        Those of a prefix that is only kept count: they are no longer available once it runs again.
        """
        source, length = self._best(array("i", tokens), most, adapter)
        if source is None or not self._shares:
            return len(tokens)
        return len(tokens) - int(self._cells.of(self._running)[_view(source.cells[:length])].sum())

    def begin(self, tokens: Sequence[int], most: int | None = None, adapter: str | None = None) -> Held:
        """Return a running sequence that has read the longest known prefix of ``tokens``, at most ``most`` of them.

        The last token is always left, because only reading a token gives logits.
        """
        source, length = self._best(array("i", tokens), most, adapter)
        if source is None:
            return self._new(adapter)
        if source in self._running:
            return self._copy(source, length) if self._can_copy(source, length) else self._new(adapter)
        if length < len(source.tokens) and (self._numbers or len(self._kept) > 1):
            self._kept.move_to_end(source)
            if self._can_copy(source, length):
                return self._copy(source, length)
        return self._resume(source, length)

    def fork(self, source: Held) -> Held | None:
        """Return a running sequence that has read what ``source`` has, None where all numbers run or all cells.

        A copy that would cost a kept prefix is left for the turn to run: many may wait for theirs.
        """
        length = len(source.tokens)
        possible = self.has_number and (self._shares or len(self._cells.free) >= length)
        return self._copy(source, length) if possible else None

    def extend(self, held: Held, tokens: Sequence[int]) -> None:
        """Count tokens as read; there must be room for them."""
        held.cells.extend(self._cells.take(len(tokens)))
        held.tokens.extend(tokens)

    def cut(self, held: Held, length: int) -> None:
        """Forget what was read after the first ``length`` tokens."""
        self._memory.cut(held.number, held.position(length))
        self._cells.drop(held.cells[length:])
        del held.cells[length:], held.tokens[length:]
        held.spans = {place: span for place, span in held.spans.items() if place < length}

    def make_room(self, count: int) -> bool:
        """Give up kept prefixes, least recently used first, until ``count`` cells are free; False if that never is."""
        while len(self._cells.free) < count and self._kept:
            self._drop(self._kept.popitem(last=False)[0])
        return len(self._cells.free) >= count

    def keep(self, held: Held) -> None:
        """End a running sequence, and keep what it has read for those that begin alike, unless it is broken."""
        self._running.discard(held)
        if held.broken or not held.tokens:
            self._drop(held)
        else:
            self._kept[held] = None

    def _drop(self, held: Held) -> None:
        self._memory.cut(held.number)
        self._cells.drop(held.cells)
        self._numbers.append(held.number)

    def _new(self, adapter: str | None) -> Held:
        if not self._numbers:
            self._drop(self._kept.popitem(last=False)[0])
        held = Held(self._numbers.pop(), adapter)
        self._running.add(held)
        return held

    def _resume(self, kept: Held, length: int) -> Held:
        del self._kept[kept]
        self._running.add(kept)
        if length < len(kept.tokens):
            self.cut(kept, length)
        return kept

    def _copy(self, source: Held, length: int) -> Held:
        held = self._new(source.adapter)
        self._memory.copy(source.number, held.number, source.position(length) if length < len(source.tokens) else -1)
        held.tokens = source.tokens[:length]
        held.spans = {place: span for place, span in source.spans.items() if place < length}
        if self._shares:
            held.cells = source.cells[:length]
            self._cells.share(held.cells)
        else:
            held.cells.extend(self._cells.take(length))
        return held

    def _can_copy(self, source: Held, length: int) -> bool:
        """Make room for a copy of so many tokens, where one needs any; False where that would cost the source."""
        if self._shares:
            return True
        spared = len(source.cells) if source in self._kept else 0
        if self.available - spared < length:
            return False
        return self.make_room(length)

    def _best(self, tokens: "array[int]", most: int | None, adapter: str | None) -> tuple[Held | None, int]:
        """Return who begins with the most of some tokens, and how many.

        Of several the one is best that can go on itself, then one that runs, then the one that was used last: that a
        prefix is like all others is no use of it.
        """
        most = len(tokens) - 1 if most is None else most
        found: tuple[Held | None, int] = (None, 0)
        best = (1, False)
        for held in [*self._kept, *self._running]:
            if held.adapter != adapter:
                continue
            length = held.whole(min(common(held.tokens, tokens), most))
            if not self._divisible and (length < len(held.tokens) or held in self._running):
                continue
            worth = (length, length == len(held.tokens) and held in self._kept)
            if worth >= best and self._memory.reaches(held.number, held.position(length)):
                found, best = (held, length), worth
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
