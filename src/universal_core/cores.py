"""How many cores this process should compute with, while other models and other programs compute as well."""

import os
import time
from collections.abc import Callable
from functools import cache

import psutil

from universal_core.hardware import usable_cores

_INTERVAL = 0.25

Look = tuple[float, float, float]
"""A moment, the processor time that this process has had until then, and that was left idle on its cores."""


class Cores:
    """Keeps track of how many cores there are for this process.

    Threads that compute together wait for one another at every product of matrices, a thousand times a step. When one
    of them has no core, because another model or program computes, all wait for it: a step has been seen to take fifty
    times as long. So there are two limits. The server tells how many models are busy, and each takes its share. And a
    few times a second this process looks at how much processor time it had and how much was left idle: together that
    is what other programs leave it.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = usable_cores()
        self._share = self._left = self.most
        self._clock = clock
        self._seen = self._look()

    def divide(self, models: int) -> None:
        """Take one share of as many as there are models, this one included; the last to come take what is left."""
        self._share = max(1, self.most // models)

    def free(self) -> int:
        """Return how many cores there are now, at least one and at most those that this process may use."""
        if self.most > 1 and self._clock() - self._seen[0] >= _INTERVAL:
            before, self._seen = self._seen, self._look()
            self._left = affordable(before, self._seen, self.most)
        return min(self._share, self._left)

    def _look(self) -> Look:
        allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        times = psutil.cpu_times(percpu=True)
        idle = sum(one.idle for cpu, one in enumerate(times) if allowed is None or cpu in allowed)
        return self._clock(), time.process_time(), idle


def affordable(before: Look, after: Look, most: int) -> int:
    """Return how many threads there are cores for, from two looks: what was used plus what was idle, at most ``most``.

    A little less than a whole core counts as one: the server's own work takes something.
    """
    wall = max(after[0] - before[0], 1e-6)
    cores = (after[1] - before[1] + after[2] - before[2]) / wall
    return max(1, min(most, int(cores + 0.4)))


@cache
def cores() -> Cores:
    """Return the one account of this process, opened when somebody asks for it first."""
    return Cores()


def free_cores() -> int:
    """Return how many cores this process should compute with now, at least one.

    That is its share of the cores while several models are busy, and no more than other programs leave it. It is meant
    to be asked before every step, and takes less than a microsecond but for a few times a second, when it looks.
    """
    return cores().free()
