"""Who runs in the next step."""

from collections import deque

from universal_core.conversation import Row, Sequence


class Scheduler:
    """Up to ``slots`` sequences run; further ones wait in order of arrival.

    Every step reads the last token of each answer being written, and then prompts, in pieces of ``chunk`` tokens
    and about one such piece altogether. So a long prompt never holds up answers being written, and a long answer
    never holds up a prompt. Prompts take turns, so that a short one need not wait for a long one. Pieces begin at
    multiples of ``chunk`` whatever else runs: a sequence is computed in the same way beside others as alone. One that
    cannot be read in such pieces says so by its ``portion``.
    """

    def __init__(self, slots: int, chunk: int) -> None:
        self._slots = slots
        self._chunk = chunk
        self._waiting: deque[Sequence] = deque()
        self._reading: deque[Sequence] = deque()
        self._writing: list[Sequence] = []

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self._waiting or self._reading or self._writing)

    def add(self, sequence: Sequence) -> None:
        """Let a sequence take part as soon as a slot is free."""
        self._waiting.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Take a sequence out, wherever it is."""
        for place in (self._waiting, self._reading, self._writing):
            if sequence in place:
                place.remove(sequence)

    def plan(self) -> list[Row]:
        """Return the rows of the next step; their tokens count as read from now on."""
        while self._waiting and len(self._reading) + len(self._writing) < self._slots:
            sequence = self._waiting.popleft()
            (self._reading if sequence.unread > 1 or not sequence.written else self._writing).append(sequence)
        rows = [Row(sequence, sequence.take()) for sequence in self._writing]
        return rows + self._prompt_rows()

    def _prompt_rows(self) -> list[Row]:
        rows: list[Row] = []
        room = self._chunk
        for _ in range(len(self._reading)):
            sequence = self._reading[0]
            portion = sequence.portion(self._chunk)
            if rows and portion > room:
                break
            tokens = self._reading.popleft().take(portion)
            room -= len(tokens)
            rows.append(Row(sequence, tokens, sequence.wanted(len(tokens))))
            if sequence.unread:
                self._reading.append(sequence)
            else:
                self._writing.append(sequence)
        return rows
