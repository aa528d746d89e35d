"""How far a download has come: counted by the threads that download, told by the one that waits for them."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError

from universal_core.models import Progress, Transfer

INTERVAL = 0.25
"""Seconds between two reports."""
WINDOW = 5.0
"""Seconds over which the speed is taken: long enough to be steady, short enough to show that it has changed."""
_SOONEST = 1.0


class Meter:
    """Counts files and bytes, and reports them with the speed of the last seconds."""

    def __init__(
        self, report: Callable[[Progress], None], files: int, size: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``size`` is the bytes of all the files, those that are here already among them."""
        self._report = report
        self._clock = clock
        self._files = files
        self._size = size
        self._files_done = self._present = self._received = 0
        self._to_check = self._checked = 0
        self._stopped = False
        self._lock = threading.Lock()
        self._samples = deque([(clock(), 0)])
        self._told: Progress | None = None

    def present(self, size: int, files: int = 0) -> None:
        """Count what was here before: it is done, and says nothing of the speed."""
        with self._lock:
            self._present += size
            self._files_done += files

    def received(self, size: int) -> None:
        """Count bytes that have just come, fewer than none for those lost. Raises CancelledError if stopped."""
        if self._stopped:
            raise CancelledError
        with self._lock:
            self._received += size

    def to_check(self, size: int) -> None:
        """Count bytes that are to be compared with their checksum, once they are here."""
        with self._lock:
            self._to_check += size

    def checked(self, size: int) -> None:
        """Count bytes that were compared."""
        with self._lock:
            self._checked += size

    def finish_file(self) -> None:
        """Count a file that is here and as it should be."""
        with self._lock:
            self._files_done += 1

    def stop(self) -> None:
        """End every thread that counts what it receives, at its next piece."""
        self._stopped = True

    def tell(self) -> None:
        """Report how far it is, if anything has changed; to be called every INTERVAL seconds."""
        with self._lock:
            progress = self._progress()
        if progress != self._told:
            self._told = progress
            self._report(progress)

    def _progress(self) -> Progress:
        done = min(self._present + self._received, self._size)
        here = Transfer(files=self._files, files_done=self._files_done, bytes=self._size, bytes_done=done)
        if done >= self._size and self._checked < self._to_check:
            return Progress("checking", self._checked / self._to_check, here)
        speed = self._speed()
        left = None if not speed else round((self._size - done) / speed, 1)
        here = Transfer(
            files=self._files,
            files_done=self._files_done,
            bytes=self._size,
            bytes_done=done,
            bytes_per_second=speed,
            seconds_left=left,
        )
        return Progress("downloading", done / self._size if self._size else 1.0, here)

    def _speed(self) -> float | None:
        now = self._clock()
        self._samples.append((now, self._received))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW:
            self._samples.popleft()
        began, before = self._samples[0]
        if now - began < _SOONEST:
            return None
        return round(max(self._received - before, 0) / (now - began), 1)
