"""The models that are alive, and who may use them: the one place that decides about loading, waiting and leaving."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from universal_core.busy import BusyModels
from universal_core.config import Config
from universal_core.downloads import Downloads
from universal_core.entry import Entry, Lease, Plan
from universal_core.errors import DeadlineExceeded, Draining, LoadFailed, UniversalError, from_failure
from universal_core.launcher import Launcher
from universal_core.models import Progress
from universal_core.plugins import Plugins
from universal_core.process import Worker, finished
from universal_core.room import Room

log = logging.getLogger(__name__)


async def _unchanged(plan: Plan) -> Plan:
    return plan


class Pool:
    """Loads each model once, keeps the memory budget, and lets idle models go."""

    def __init__(self, config: Config, plugins: Plugins) -> None:
        self.entries: dict[tuple[str, str], Entry] = {}
        self.draining = False
        self.renew: Callable[[Plan], Awaitable[Plan]] = _unchanged
        """Returns the plan by the present configuration, for one that may have been made by an earlier one."""
        self.launcher = Launcher(config)
        self.downloads = Downloads(self.launcher)
        self._config = config
        self._plugins = plugins
        self.room = Room(config.pool, self.everyone, self._unload, self.retire)
        self._busy = BusyModels()
        self._leaving: set[Entry] = set()
        self._failures: dict[tuple[str, str], tuple[float, UniversalError]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def configure(self, config: Config) -> None:
        """Go by another configuration from now on; what is loaded stays as it is."""
        self._config = config
        self.room.configure(config.pool)
        self.launcher.configure(config)
        # Whatever was wrong with a model may have been mended.
        self._failures.clear()
        for entry in self.entries.values():
            entry.queue.limit = config.pool.queue_limit

    async def lease(self, plan: Plan, key: str, watch: Callable[[Entry], None] = lambda entry: None) -> Lease:
        """Wait for a slot of the model, loading it first where need be.

        ``watch`` is told which entry is waited for. Raises QueueFull, Draining, LoadFailed, InsufficientMemory,
        DeadlineExceeded.
        """
        while True:
            plan = await self.renew(plan)
            entry = self._entry(plan)
            entry.users += 1
            watch(entry)
            try:
                entry.queue.check(entry.users - 1)
                await self._ready(entry)
                await entry.queue.enter(key)
            except BaseException:
                entry.users -= 1
                self.room.tell()
                raise
            lease = Lease(entry, self._config.workers.hang_timeout, self._changed)
            if not entry.gone:
                return lease
            # It left while this request waited; the next round loads it again.
            lease.release()

    async def load(self, plan: Plan, watch: Callable[[Entry], None] = lambda entry: None) -> Entry:
        """Load the model if it is not loaded; an earlier failure does not count."""
        self._failures.pop(plan.key, None)
        entry = self._entry(plan)
        entry.users += 1
        watch(entry)
        try:
            await self._ready(entry)
        finally:
            entry.users -= 1
            entry.used = time.monotonic()
            self.room.tell()
        return entry

    def _entry(self, plan: Plan) -> Entry:
        if self.draining:
            raise Draining("the server is shutting down; try again in a moment", retry_after=5)
        entry = self.entries.get(plan.key)
        if entry is None:
            self._refuse_failed(plan)
            entry = self.entries[plan.key] = Entry(plan.loaded, self._config.pool.queue_limit)
            entry.loading = asyncio.create_task(self._load(entry))
            entry.loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        return entry

    def _refuse_failed(self, plan: Plan) -> None:
        moment, error = self._failures.get(plan.key, (0.0, None))
        if error is not None:
            left = moment + self._config.pool.retry_delay - time.monotonic()
            if left > 0:
                raise type(error)(
                    f"{error.message} (not tried again for {left:.0f} s; POST /v1/models/load tries at once)"
                )
            del self._failures[plan.key]

    async def _ready(self, entry: Entry) -> None:
        """Wait until the model is loaded; the load itself goes on when one who waits gives up."""
        assert entry.loading is not None
        limit = self._config.pool.load_timeout
        if not entry.loading.done() and not await finished(entry.loading, limit):
            raise DeadlineExceeded(
                f"{entry.plan.name} is still loading after {limit:.0f} s ({entry.progress}); try again later"
            )
        if entry.loading.cancelled():
            raise LoadFailed(f"loading {entry.plan.name} was called off")
        error = entry.loading.exception()
        if isinstance(error, UniversalError):
            raise from_failure(error.to_failure())
        if error is not None:
            raise error

    async def _load(self, entry: Entry) -> None:
        plan, began = entry.plan, time.monotonic()
        worker = Worker()

        def report(progress: Progress) -> None:
            entry.progress = progress

        log.info("loading %s: backend %s", plan.name, plan.claim.backend)
        try:
            self.room.refuse_hopeless(entry)
            if entry.info.path is None:
                entry.info = await self.downloads.fetch(plan.info, plan.claim, report)
                entry.estimate = self._plugins.estimate(entry.info, plan.claim, plan.options, entry.device)
            await self.room.reserve(entry)
            await self.launcher.launch(worker, plan.backend, report)
            entry.info = await worker.load(entry.info, entry.claim, entry.options, report)
        except BaseException as error:
            self._remove(entry)
            self._leaving.add(entry)
            if isinstance(error, LoadFailed):
                self._failures[plan.key] = (time.monotonic(), error)
            if isinstance(error, UniversalError):
                log.error("loading %s failed: %s", plan.name, error.message)
                self._plugins.tell("load_failed", name=plan.name, info=entry.info, claim=plan.claim, error=error)
            await worker.stop(0.0)
            self._leaving.discard(entry)
            self.room.tell()
            raise
        entry.worker = worker
        worker.measured = lambda: self.room.correct(entry)
        entry.used = entry.since = time.monotonic()
        self.room.tell()
        self._plugins.tell("model_loaded", info=entry.info, claim=plan.claim, seconds=entry.used - began)
        self._background(self._watch(entry, worker))

    async def _watch(self, entry: Entry, worker: Worker) -> None:
        """Notice that a worker died by itself."""
        await worker.closed.wait()
        if entry.ending is not None:
            return
        self._remove(entry)
        self._leaving.discard(entry)
        entry.ending = self._background(self._tell_of_death(entry, worker))

    async def _tell_of_death(self, entry: Entry, worker: Worker) -> None:
        reason = await worker.exit_reason()
        log.error("the worker of %s (pid %d) ended by itself: %s", entry.plan.name, worker.pid, reason)
        self._tell_unloaded(entry, reason, "died")

    def _tell_unloaded(self, entry: Entry, reason: str, cause: str) -> None:
        self._plugins.tell("model_unloaded", info=entry.info, claim=entry.plan.claim, reason=reason, cause=cause)

    def everyone(self) -> list[Entry]:
        """Return all models that have memory, those that are leaving among them."""
        return [*self.entries.values(), *self._leaving]

    def _remove(self, entry: Entry) -> None:
        entry.gone = True
        if self.entries.get(entry.plan.key) is entry:
            del self.entries[entry.plan.key]
        self.room.tell()

    def retire(self, entry: Entry, reason: str, cause: str) -> None:
        """Give a model no more requests, and unload it when those that run on it are done; new ones load it again."""
        self._remove(entry)
        self._leaving.add(entry)
        self._background(self._retire(entry, reason, cause))

    async def _retire(self, entry: Entry, reason: str, cause: str) -> None:
        # Who waits for the load of a model that has gone loads it again; nobody's wait is called off.
        assert entry.loading is not None
        await asyncio.wait({entry.loading})
        while entry.active and entry.ending is None:
            await self.room.news()
        self._unload(entry, reason, cause)

    def _unload(self, entry: Entry, reason: str, cause: str) -> asyncio.Future[None]:
        """Begin to end a model, whatever runs on it, unless that was begun before; what is begun is finished."""
        self._remove(entry)
        if entry.ending is None:
            self._leaving.add(entry)
            entry.ending = self._background(self._end(entry, reason, cause))
        return asyncio.shield(entry.ending)

    async def _end(self, entry: Entry, reason: str, cause: str) -> None:
        try:
            if entry.loading is not None and not entry.loading.done():
                entry.loading.cancel()
                await asyncio.wait({entry.loading})
            if entry.worker is not None:
                await entry.worker.stop(self._config.workers.stop_grace)
        finally:
            self._leaving.discard(entry)
            self.room.tell()
        if entry.worker is not None:
            self._tell_unloaded(entry, reason, cause)

    def _changed(self, entry: Entry) -> None:
        """Note that a job has begun or ended."""
        self._busy.note(entry)
        if entry.gone or not entry.users:
            self.room.tell()

    async def unload(self, name: str, reason: str, cause: str = "asked") -> int:
        """Unload every entry of this name, whatever runs on it; return how many there were."""
        found = [entry for entry in self.entries.values() if entry.plan.name == name]
        await asyncio.gather(*(self._unload(entry, reason, cause) for entry in found))
        return len(found)

    async def sweep(self) -> None:
        """Unload what has been idle for too long."""
        now = time.monotonic()
        for entry in list(self.entries.values()):
            own = entry.plan.unload_timeout
            limit = self._config.pool.unload_timeout if own is None else own
            if limit and entry.idle and not entry.plan.pinned and now - entry.used >= limit:
                await self._unload(entry, f"idle for {now - entry.used:.0f} s", "idle")
        self.launcher.sweep()

    async def drain(self, seconds: float) -> None:
        """Take no new work, and wait until what runs is done, at most this long."""
        self.draining = True
        deadline = time.monotonic() + seconds

        def busy() -> bool:
            return any(entry.users for entry in self.everyone()) and time.monotonic() < deadline

        # Once, at the end: an event to wait for would have to be set after every request.
        while busy():  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def close(self, at_once: bool = False) -> None:
        """Stop every worker and download; ``at_once`` gives the workers no time to close their models."""
        self.draining = True
        for entry in self.everyone() if at_once else ():
            if entry.worker is not None:
                entry.worker.kill()
        await asyncio.gather(*(self._unload(entry, "the server stops", "stopping") for entry in self.everyone()))
        await self.downloads.close()
        for task in self._tasks:
            task.cancel()
        self.launcher.close()

    def _background(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
