"""The memory that models may take together, and where another one fits into it."""

from collections.abc import Callable, Collection, Sequence

from universal_core import memory
from universal_core.config import PoolConfig
from universal_core.entry import Entry
from universal_core.errors import InsufficientMemory
from universal_core.memory import readable
from universal_core.models import MemoryEstimate
from universal_core.placement import MACHINE, Placement, needs, place_divided, place_whole

Place = Callable[[Entry, Collection[Entry], Collection[Entry]], Placement | None]
"""Tells where an entry fits beside others of which some count as gone; None for nowhere."""

REFUSED_SECONDS = 5
"""When one that was refused for models in use may come again."""


class Budget:
    """Finds room for models by what they are expected to take, and counts what they really take once that is known."""

    def __init__(self, config: PoolConfig) -> None:
        self.config = config

    def limit(self, device: str) -> int:
        """Return the bytes that all models on a device may take together."""
        if self.config.memory_limit is not None and device == MACHINE:
            return self.config.memory_limit
        return int(memory.device(device).total * self.config.memory_share)

    def free(self, device: str, others: Collection[Entry], gone: Collection[Entry] = ()) -> int:
        """Return the bytes that one more model may take: within the limit, and really there.

        What those of the others have that are ``gone`` counts as free.
        """
        staying = [other for other in others if other not in gone]
        counted = sum(other.counted(device) for other in staying)
        # What is set aside for a model that has not taken it yet still looks free to the machine.
        pending = sum(max(other.reserved.get(device, 0) - other.taken.get(device, 0), 0) for other in staying)
        returned = sum(other.taken.get(device, 0) for other in gone)
        return min(self.limit(device) - counted, memory.device(device).free + returned - pending)

    def could_place(self, entry: Entry, staying: Collection[Entry]) -> bool:
        """Whether an entry would fit if all but those that stay were gone, and nothing else had memory."""

        def free(device: str) -> int:
            return self.limit(device) - sum(other.counted(device) for other in staying)

        return bool(place_whole(entry.plan, entry.estimate, free) or place_divided(entry.plan, entry.estimate, free))

    def spare(self, entry: Entry, placement: Placement, others: Collection[Entry]) -> int:
        """Return how many bytes more an entry may have for its cache: at most half of what is left for others."""
        left = self.free(placement.device, others) - placement.bytes[placement.device]
        return min(entry.estimate.spare, max(left, 0) // 2)

    def best_place(self, entry: Entry, others: Collection[Entry], leaving: Collection[Entry]) -> Place:
        """Return what tells where an entry fits beside others of which some count as gone.

        As a whole, where it would fit so without those that may leave; else in part beside an accelerator.
        """

        def place(whole: bool) -> Place:
            def find(entry: Entry, others: Collection[Entry], gone: Collection[Entry]) -> Placement | None:
                how = place_whole if whole else place_divided
                return how(entry.plan, entry.estimate, lambda device: self.free(device, others, gone))

            return find

        return place(place(True)(entry, others, leaving) is not None)

    @staticmethod
    def smallest(entry: Entry, place: Place, others: Collection[Entry], victims: Sequence[Entry]) -> list[Entry] | None:
        """Return as few of the victims as an entry needs to fit without, rather the first of them than the last.

        None where it does not fit without all of them. None of those that are returned would go in vain.
        """
        chosen: list[Entry] = []
        for victim in victims:
            chosen.append(victim)
            if place(entry, others, chosen) is not None:
                break
        else:
            return None
        for victim in reversed(chosen[:-1]):
            fewer = [other for other in chosen if other is not victim]
            if place(entry, others, fewer) is not None:
                chosen = fewer
        return chosen

    def refusal(self, entry: Entry, others: Collection[Entry], staying: Collection[Entry]) -> InsufficientMemory:
        """Return the error that tells why an entry cannot be loaded, with the numbers, and what could be.

        ``staying`` are those of the others that do not make room.
        """
        estimate, device = entry.estimate, max(entry.plan.devices, key=self.limit)
        free = max(self.free(device, others, [other for other in others if other not in staying]), 0)
        kept = ", ".join(
            f"{other.plan.name} ({readable(other.counted(device))}{', pinned' if other.plan.pinned else ''})"
            for other in staying
            if other.counted(device)
        )
        return InsufficientMemory(
            f"{entry.plan.name} needs about {readable(needs(estimate, device)[device])} on {device} "
            f"({parts(estimate)}), but {readable(free)} of {readable(self.limit(device))} are free"
            + (f"; in use or pinned: {kept}. Try again when they are idle, or unload one" if kept else "")
            + f". {_advice(estimate, free)}",
            retry_after=REFUSED_SECONDS if kept else None,
        )


def parts(estimate: MemoryEstimate) -> str:
    """Return in words what an estimate is made of."""
    named = {
        "weights": estimate.weights,
        "key-value cache": estimate.cache,
        "working memory": estimate.working,
        "process": estimate.host,
    }
    return ", ".join(f"{name} {readable(count)}" for name, count in named.items() if count)


def _advice(estimate: MemoryEstimate, free: int) -> str:
    fitting = [f"{smaller.advice} ({readable(smaller.total)})" for smaller in estimate.smaller if smaller.total <= free]
    if fitting:
        return f"This would fit: {'; '.join(fitting)}"
    return "A smaller model or quantization, or a higher pool.memory_limit, would do"
