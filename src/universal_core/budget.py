"""The memory that models may take together, and whether another one fits into it."""

from collections.abc import Iterable, Sequence

from universal_core import memory
from universal_core.config import PoolConfig
from universal_core.entry import Entry
from universal_core.errors import InsufficientMemory
from universal_core.memory import readable


class Budget:
    """Sets memory aside by estimate, and counts what is really taken once that is known."""

    def __init__(self, config: PoolConfig) -> None:
        self._config = config

    def reserve(self, entry: Entry, others: Iterable[Entry]) -> bool:
        """Set the claim's estimate aside for an entry, if that much is free beside the others."""
        needed = entry.plan.claim.memory.total
        if needed > self.free(entry.plan.device, others):
            return False
        entry.reserved = needed
        return True

    @staticmethod
    def correct(entry: Entry) -> None:
        """Put what a model really takes, once loaded, in the place of what its weights were thought to take.

        What it takes beyond that is working memory which it has set aside already; the rest is still to come.
        """
        estimate, taken = entry.plan.claim.memory, entry.memory
        if taken:
            entry.reserved = max(taken, min(taken, estimate.weights) + estimate.working)

    def would_fit(self, entry: Entry, others: Iterable[Entry], without: Iterable[Entry]) -> bool:
        """Whether an entry would fit once these models are gone, so that none is unloaded in vain."""
        freed = sum(max(other.reserved, other.memory) for other in without)
        return entry.plan.claim.memory.total <= self.free(entry.plan.device, others) + freed

    def limit(self, device: str) -> int:
        """Return the bytes that all models on a device may take together."""
        if self._config.memory_limit is not None and device == "cpu":
            return self._config.memory_limit
        return int(memory.device(device).total * self._config.memory_share)

    def free(self, device: str, others: Iterable[Entry]) -> int:
        """Return the bytes that one more model may take: within the limit, and really there."""
        neighbours = [other for other in others if other.plan.device == device]
        reserved = sum(max(other.reserved, other.memory) for other in neighbours)
        # What is set aside for a model that has not taken it yet still looks free to the machine.
        pending = sum(max(other.reserved - other.memory, 0) for other in neighbours)
        return min(self.limit(device) - reserved, memory.device(device).free - pending)

    def refusal(self, entry: Entry, others: Sequence[Entry]) -> InsufficientMemory:
        """Return the error that tells why an entry cannot be loaded, with the numbers."""
        device, estimate = entry.plan.device, entry.plan.claim.memory
        kept = ", ".join(
            f"{other.plan.name} ({readable(max(other.reserved, other.memory))})"
            for other in others
            if other.plan.device == device
        )
        return InsufficientMemory(
            f"{entry.plan.name} needs about {readable(estimate.total)} on {device} "
            f"(weights {readable(estimate.weights)}, working memory {readable(estimate.working)}), "
            f"but {readable(max(self.free(device, others), 0))} of {readable(self.limit(device))} are free"
            + (f"; in use or pinned: {kept}. Try again when they are idle, or unload one" if kept else "")
            + ". A smaller model or quantization, or a higher pool.memory_limit, would do"
        )
