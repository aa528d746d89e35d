"""How many threads to compute with: as many as there are cores for, while others compute as well."""

from typing import Protocol

from universal_core import free_cores, usable_cores


class Computing(Protocol):
    """What can be told how many threads to use."""

    def use_threads(self, count: int, batch_count: int) -> None:
        """Compute with ``count`` threads, prompts with ``batch_count``."""


class Threads:
    """Keeps the number of threads at the number of cores that there are for this process, unless it was asked for."""

    def __init__(self, count: int | None, batch_count: int | None) -> None:
        self._fixed = count is not None
        self.most = count or usable_cores()
        self._batch = batch_count or self.most
        self.count = self.most

    def adapt(self, computing: Computing) -> None:
        """Give a context as many threads as there are cores now; to be called after every step."""
        if self._fixed or self.most == 1:
            return
        wanted = min(self.most, free_cores())
        if wanted != self.count:
            self.count = wanted
            self.apply(computing)

    def apply(self, computing: Computing) -> None:
        """Tell a context how many threads there are."""
        computing.use_threads(self.count, min(self._batch, self.count) if not self._fixed else self._batch)
