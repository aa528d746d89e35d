"""Who runs in the next step."""

from collections import deque
from itertools import count

from universal_core.batching import note_batch
from universal_core.continuous_batching.cache import Cache
from universal_core.continuous_batching.pace import Pace
from universal_core.conversation import Row, Sequence


class Turns:
    """Up to ``slots`` sequences run, in steps of at most ``size`` tokens; further ones wait in order of arrival.

    Every step reads the last token of each answer being written, and then prompts. A prompt of at most ``quick`` tokens
    is read as soon as there is room: it holds the others up once. A longer one is read at the pace that they can bear.

    When the cache is full, prefixes kept from finished answers go first. Then the youngest sequence pauses: it gives
    its cells back, and begins again as soon as there is room, with its answer as far as it was written. The oldest
    is never paused, and one alone always fits; so nothing waits for ever.

    Of prompts that are scored a step reads ``scored`` tokens at most: the logits after each of them take room.
    """

    def __init__(
        self,
        cache: Cache,
        pace: Pace,
        *,
        slots: int,
        size: int,
        quick: int | None = None,
        scored: int | None = None,
    ) -> None:
        self._cache = cache
        self._pace = pace
        self._slots = slots
        self._size = size
        self._quick = quick or size
        self._scored = scored or size
        self._numbers = count()
        self._arrival: dict[Sequence, int] = {}
        self._waiting: deque[Sequence] = deque()
        self._reading: list[Sequence] = []
        self._writing: list[Sequence] = []
        self._long: set[Sequence] = set()
        self._begun: set[Sequence] = set()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._arrival

    def add(self, sequence: Sequence) -> None:
        """Let a sequence take part as soon as there is room."""
        self._arrival[sequence] = next(self._numbers)
        if sequence.read:  # A further answer to a prompt that has been read.
            self._waiting.appendleft(sequence)
        else:
            self._waiting.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Take a sequence out, wherever it is."""
        if self._arrival.pop(sequence, None) is None:
            return
        self._long.discard(sequence)
        self._begun.discard(sequence)
        for place in (self._waiting, self._reading, self._writing):
            if sequence in place:
                place.remove(sequence)

    def plan(self) -> list[Row]:
        """Return the rows of the next step; their tokens count as read from now on."""
        self._admit()
        rows = self._next_tokens()
        rows += self._prompts(len(rows))
        if rows:
            note_batch(len(rows))
        return rows

    def _admit(self) -> None:
        while self._waiting and len(self._reading) + len(self._writing) < self._slots:
            sequence = self._waiting[0]
            if (self._reading or self._writing) and not self._fits(sequence):
                return
            self._start(self._waiting.popleft())

    def _fits(self, sequence: Sequence) -> bool:
        tokens, state = sequence.tokens, sequence.state
        needed = len(tokens) - len(state.tokens) if state else self._needed(sequence)
        # One cell more for each that runs, so that what just fits does not have to pause in the next step.
        promised = len(self._writing) + sum(one.unread + 1 for one in self._reading)
        return needed < self._cache.available - promised

    def _needed(self, sequence: Sequence) -> int:
        return self._cache.needed(sequence.tokens, sequence.reusable, sequence.adapter)

    def _start(self, sequence: Sequence) -> None:
        if sequence.state is None:
            while not self._cache.has_number:
                self._pause(self._youngest())
            sequence.state = self._cache.begin(sequence.tokens, sequence.reusable, sequence.adapter)
        sequence.read = len(sequence.state.tokens)
        if sequence.job is not None and not sequence.written and sequence not in self._begun:
            sequence.job.cached_tokens = sequence.read
            self._begun.add(sequence)
        if sequence.unread == 1 and sequence.written:
            self._writing.append(sequence)
            return
        self._reading.append(sequence)
        if sequence.unread > self._quick:
            self._long.add(sequence)

    def _next_tokens(self) -> list[Row]:
        while not self._cache.make_room(len(self._writing)):
            self._pause(self._youngest())
        return [Row(sequence, sequence.take()) for sequence in self._writing]

    def _prompts(self, taken: int) -> list[Row]:
        rows: list[Row] = []
        allowance, scored = self._pace.allowance(taken), self._scored
        for sequence in sorted(self._reading, key=lambda one: (one in self._long, self._arrival[one])):
            most = min(self._size - taken, allowance if sequence in self._long else self._size)
            if most <= 0:
                break
            most = min(sequence.portion(most), scored) if sequence.is_scored else sequence.portion(most)
            # One that was younger may have paused for the ones before it.
            if not most or sequence not in self._reading or not self._room(sequence, taken + most, bool(rows)):
                continue
            scored -= most if sequence.is_scored else 0
            tokens = sequence.take(most)
            rows.append(Row(sequence, tokens, sequence.wanted(len(tokens))))
            taken += most
            if sequence in self._long:
                allowance -= most
        for row in rows:
            if not row.sequence.unread:
                self._reading.remove(row.sequence)
                self._long.discard(row.sequence)
                self._writing.append(row.sequence)
        return rows

    def _room(self, sequence: Sequence, count: int, planned: bool) -> bool:
        """Make room for a step of ``count`` tokens; what must pause for it has no share of the step yet."""
        while not self._cache.make_room(count):
            youngest = self._youngest()
            if youngest in self._writing or (planned and youngest in self._reading):
                return False
            self._pause(youngest)
            if youngest is sequence:
                return False
        return True

    def _youngest(self) -> Sequence:
        """Return who gives way next: who has cells without a turn, or else the last to come of those that run."""
        waiting = [sequence for sequence in self._waiting if sequence.state]
        return max(waiting or (*self._reading, *self._writing), key=self._arrival.__getitem__)

    def _pause(self, sequence: Sequence) -> None:
        self._cache.keep(sequence.state)
        sequence.state, sequence.read = None, 0
        if sequence in self._waiting:
            return
        (self._reading if sequence in self._reading else self._writing).remove(sequence)
        self._long.discard(sequence)
        self._waiting.appendleft(sequence)
