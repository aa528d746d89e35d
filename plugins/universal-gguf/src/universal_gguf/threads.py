"""How many threads to compute with: as many as there are cores for, while others compute as well."""

import os
import time
from collections.abc import Callable
from typing import Protocol

import psutil

from universal_core import usable_cores

_INTERVAL = 0.25


class Computing(Protocol):
    """What can be told how many threads to use."""

    def use_threads(self, count: int, batch_count: int) -> None:
        """Compute with ``count`` threads, prompts with ``batch_count``."""


class Threads:
    """Keeps the number of threads at the number of cores that this process really gets.

    llama.cpp's threads wait for one another a thousand times a step. When one of them has no core, because another
    model or program computes, all wait for it, ten times as long as a step takes otherwise. So a few times a second
    this process looks at how much processor time it had and how much was left idle: together that is what there is.
    """

    def __init__(
        self, count: int | None, batch_count: int | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fixed = count is not None
        self.most = count or usable_cores()
        self._batch = batch_count or self.most
        self.count = self.most
        self._clock = clock
        self._seen = self._look()

    def adapt(self, computing: Computing) -> None:
        """Give a context as many threads as there are cores now; to be called after every step."""
        now = self._clock()
        if self._fixed or self.most == 1 or now - self._seen[0] < _INTERVAL:
            return
        before, self._seen = self._seen, self._look()
        wanted = affordable(before, self._seen, self.most)
        if wanted != self.count:
            self.count = wanted
            self.apply(computing)

    def apply(self, computing: Computing) -> None:
        """Tell a context how many threads there are."""
        computing.use_threads(self.count, min(self._batch, self.count) if not self._fixed else self._batch)

    def _look(self) -> tuple[float, float, float]:
        """Return the time, the processor time that this process has had, and that was left idle on its cores."""
        allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        times = psutil.cpu_times(percpu=True)
        idle = sum(one.idle for cpu, one in enumerate(times) if allowed is None or cpu in allowed)
        return self._clock(), time.process_time(), idle


def affordable(before: tuple[float, float, float], after: tuple[float, float, float], most: int) -> int:
    """Return how many threads there are cores for, from two looks: what was used plus what was idle, at most ``most``.

    A little less than a whole core counts as one: the server's own work takes something.
    """
    wall = max(after[0] - before[0], 1e-6)
    cores = (after[1] - before[1] + after[2] - before[2]) / wall
    return max(1, min(most, int(cores + 0.4)))
