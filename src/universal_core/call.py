"""One request on its way to a model: it waits for its turn, and then reads what the model answers."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from universal_core.entry import Entry, JobProgress, Lease, Plan
from universal_core.messages import Message, Request, Step
from universal_core.pool import Pool


class Call:
    """One request on its way to a model; use it as an async context manager, then read batches()."""

    def __init__(
        self, pool: Pool, plan: Plan, task: str, request: Request, key: str, request_id: str, timeout: float
    ) -> None:
        self.plan = plan
        self.timings: dict[str, float] = {}
        self._pool = pool
        self._task = task
        self._request = request
        self._key = key
        self._request_id = request_id
        self._timeout = timeout
        self._entry: Entry | None = None
        self._lease: Lease | None = None
        self._began = time.perf_counter()

    @property
    def status(self) -> str:
        """What the request is waiting for."""
        if self._lease is not None:
            job = self._lease.entry.jobs.get(self)
            return f"{self.plan.name} is working" + (f": step {job.done} of {job.total}" if job else "")
        return self._entry.status if self._entry else "finding the model"

    def _watch(self, entry: Entry) -> None:
        self._entry = entry

    async def __aenter__(self) -> "Call":
        """Wait for the model and for a turn on it."""
        entry = self._pool.entries.get(self.plan.key)
        loaded = entry is not None and entry.state == "ready"
        self._lease = await self._pool.lease(self.plan, self._key, self._watch)
        self.timings["queue" if loaded else "load"] = self._lap()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give the slot back; what still runs is cancelled."""
        if self._lease is not None:
            self._lease.entry.jobs.pop(self, None)
            self._lease.release()

    def _lap(self) -> float:
        now = time.perf_counter()
        lap, self._began = now - self._began, now
        return lap

    async def batches(self, patience: float | None = None) -> AsyncGenerator[list[Message]]:
        """Yield events as they come, all that are there at a time.

        An empty list means that ``patience`` seconds went by without any. Raises DeadlineExceeded.
        """
        assert self._lease is not None
        deadline = time.monotonic() + self._timeout if self._timeout else None
        async with aclosing(
            self._lease.run(self._task, self._request, self._request_id).batches(deadline, patience)
        ) as found:
            async for batch in found:
                if batch and "prefill" not in self.timings:
                    self.timings["prefill"] = self._lap()
                if self._request.tells_progress:
                    self._note_progress(self._lease, batch)
                yield batch
        self.timings["generate"] = self._lap()

    def _note_progress(self, lease: Lease, batch: list[Message]) -> None:
        step = next((message for message in reversed(batch) if isinstance(message, Step)), None)
        if step is not None:
            lease.entry.jobs[self] = JobProgress(self._task, self._request_id, step.done, step.total)
