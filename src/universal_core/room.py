"""Room in memory for models that are to be loaded: found, made by unloading others, waited for, or refused."""

import asyncio
import time
from collections.abc import Callable, Sequence

from universal_core.budget import Budget, Place
from universal_core.config import PoolConfig
from universal_core.entry import Entry
from universal_core.measurements import Measured, Measurements, correct
from universal_core.models import Progress
from universal_core.placement import needs

Unload = Callable[[Entry, str, str], asyncio.Future[None]]
Retire = Callable[[Entry, str, str], None]
CAUSE = "room"
LOOKS, LOOK_INTERVAL = 20, 0.05
"""How often, and after how many seconds each, to look for memory that has to come back."""


class Room:
    """Sets memory aside for one model after the other, so that two never count on the same bytes.

    ``everyone`` tells all models that have memory; ``unload`` begins to end an idle one; ``retire`` gives one no more
    requests and ends it when it is done.
    """

    def __init__(self, config: PoolConfig, everyone: Callable[[], list[Entry]], unload: Unload, retire: Retire) -> None:
        self.budget = Budget(config)
        self._measurements = Measurements(config.measurements)
        self._everyone = everyone
        self._unload = unload
        self._retire = retire
        self._turn = asyncio.Lock()
        self._waiting: set[asyncio.Future[None]] = set()

    def configure(self, config: PoolConfig) -> None:
        """Take other limits from now on."""
        self.budget.config = config

    def refuse_hopeless(self, entry: Entry) -> None:
        """Raise InsufficientMemory for a model that would not fit if all others were gone that are not pinned."""
        others = [other for other in self._everyone() if other is not entry]
        pinned = [other for other in others if other.plan.pinned]
        if not self.budget.could_place(entry, pinned):
            raise self.budget.refusal(entry, others, pinned)

    async def reserve(self, entry: Entry) -> None:
        """Set memory aside as soon as there is room. Raises InsufficientMemory where there will be none."""
        async with self._turn:
            began = time.monotonic()
            entry.estimate = self._measurements.corrected(entry.plan, entry.estimate, entry.device)
            while True:
                others = sorted((other for other in self._everyone() if other is not entry), key=lambda one: one.used)
                leaving = [other for other in others if other.gone or not other.plan.pinned]
                place = self.budget.best_place(entry, others, leaving)
                placement = place(entry, others, ())
                if placement is not None:
                    spare = self.budget.spare(entry, placement, others)
                    entry.settle(placement.device, placement.bytes, placement.options, spare)
                    return
                if not await self._unload_idle(entry, place, others, leaving):
                    await self._wait_for(entry, place, others, leaving, began)

    async def _unload_idle(self, entry: Entry, place: Place, others: Sequence[Entry], leaving: Sequence[Entry]) -> bool:
        """Unload as few idle models as are needed, least recently used first; False where they would not do."""
        ending = [other for other in leaving if other.ending is not None]
        idle = [other for other in leaving if other.idle and not other.gone]
        victims = self.budget.smallest(entry, place, others, [*ending, *idle])
        if victims is None:
            return False
        names = ", ".join(victim.plan.name for victim in victims)
        entry.progress = Progress(f"unloading {names} to make room")
        await asyncio.gather(*(self._unload(victim, _reason(entry), CAUSE) for victim in victims))
        staying = [other for other in others if other not in victims]
        for _ in range(LOOKS):
            if place(entry, staying, ()) is not None:
                break
            # A driver gives memory back a moment after the process has gone; nobody else has to go for that.
            await asyncio.sleep(LOOK_INTERVAL)
        return True

    async def _wait_for(
        self, entry: Entry, place: Place, others: Sequence[Entry], leaving: Sequence[Entry], began: float
    ) -> None:
        """Wait for news of models in use; those whose time is up take no new requests. Raises InsufficientMemory."""
        takeover = self.budget.config.takeover
        victims = self.budget.smallest(
            entry, place, others, sorted(leaving, key=lambda one: not (one.gone or one.idle))
        )
        if victims is None or not (takeover or all(victim.gone for victim in victims)):
            raise self.budget.refusal(entry, others, [other for other in others if not other.idle or other.plan.pinned])
        entry.progress = Progress(f"waiting for {', '.join(victim.plan.name for victim in victims)} to make room")
        now = time.monotonic()
        for victim in victims:
            if victim.state == "ready" and not victim.gone and now - max(began, victim.since) >= takeover:
                self._retire(victim, _reason(entry), CAUSE)
        await self.news(takeover or None)

    async def news(self, seconds: float | None = None) -> None:
        """Wait until a model is idle or gone, or a job has ended of one that is to go, at most this long."""
        told = asyncio.get_running_loop().create_future()
        self._waiting.add(told)
        try:
            await asyncio.wait({told}, timeout=seconds)
        finally:
            self._waiting.discard(told)

    def tell(self) -> None:
        """Let those look again who wait for news."""
        for told in self._waiting:
            if not told.done():
                told.set_result(None)

    def correct(self, entry: Entry) -> None:
        """Count what a model really takes that has worked, in the place of what its weights were thought to take.

        Before it has worked it may not have touched all of them, where its file is mapped into memory.
        """
        assert entry.worker is not None
        measured = Measured(entry.worker.memory.system, entry.worker.memory.device)
        self._measurements.note(entry.plan, entry.device, measured)
        whole = entry.reserved == needs(entry.estimate, entry.device)
        entry.estimate = correct(entry.estimate, entry.device, measured)
        if whole:
            entry.reserved = needs(entry.estimate, entry.device)


def _reason(entry: Entry) -> str:
    return f"to make room for {entry.plan.name}"
