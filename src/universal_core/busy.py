"""How many models compute on the processor at the same time, and who of them is told."""

import asyncio

from universal_core.entry import Entry

LINGER = 0.5
"""Seconds for which those that are idle again still count, so that nobody is told of every request."""


class BusyModels:
    """Tells the workers of models that compute on the processor how many they are, so that they share its cores.

    That there are more is told at once, and that there are fewer after a while; a worker that is idle is told when it
    gets something to do. Models on an accelerator hardly use the processor, and neither count nor are told.
    """

    def __init__(self) -> None:
        self._busy: set[Entry] = set()
        self._number = 1
        self._recent = 0
        self._falling: asyncio.TimerHandle | None = None

    def note(self, entry: Entry) -> None:
        """See whether anything runs on a model; to be called whenever the number of its jobs has changed."""
        if entry.device != "cpu":
            return
        if not entry.active:
            self._busy.discard(entry)
            self._fall_later()
            return
        self._busy.add(entry)
        self._recent = max(self._recent, len(self._busy))
        self._number = max(self._number, len(self._busy))
        self._tell()

    def _fall_later(self) -> None:
        if self._falling is None and max(1, len(self._busy)) < self._number:
            self._recent = len(self._busy)
            self._falling = asyncio.get_running_loop().call_later(LINGER, self._fall)

    def _fall(self) -> None:
        """Go down to the most that were busy at the same time since it was clear that there are fewer."""
        self._falling = None
        self._number = max(1, self._recent)
        self._tell()
        self._fall_later()

    def _tell(self) -> None:
        for entry in self._busy:
            if entry.worker is not None:
                entry.worker.tell_busy(self._number)
