"""A bounded queue before a fixed number of slots, fair among the keys that requests come with."""

import asyncio
from collections import OrderedDict, deque

from universal_core.errors import QueueFull


class Queue:
    """Hands out slots: to waiting requests key by key in turn, and within a key first come, first served."""

    def __init__(self, slots: int, limit: int) -> None:
        """``slots`` requests run at once, ``limit`` more may wait."""
        self._slots = self._free = slots
        self.limit = limit
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self.queued = 0

    async def enter(self, key: str) -> None:
        """Wait for a slot. Raises QueueFull at once where too many wait already."""
        if self._free > 0 and not self.queued:
            self._free -= 1
            return
        self.check(self._slots + self.queued)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        self.queued += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            else:
                self._forget(key, turn)
            raise

    def check(self, users: int) -> None:
        """Raise QueueFull where so many run and wait already that one more would be too many."""
        if users >= self._slots + self.limit:
            waiting = users - self._slots
            raise QueueFull(
                f"{waiting} requests wait for this model already, which is its limit; try again shortly", retry_after=1
            )

    def leave(self) -> None:
        """Give the slot back, to whoever is next."""
        while self._waiting:
            key, turns = next(iter(self._waiting.items()))
            turn = turns.popleft()
            self.queued -= 1
            # The key goes behind all others: one turn each, however much one of them has queued.
            if turns:
                self._waiting.move_to_end(key)
            else:
                del self._waiting[key]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _forget(self, key: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(key)
        if turns and turn in turns:
            turns.remove(turn)
            self.queued -= 1
            if not turns:
                del self._waiting[key]
