"""A model in memory: how it is to be run, the queue before it, and the right to use it."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec

from universal_core.models import Backend, Claim, ModelInfo, Progress
from universal_core.process import Stream, Worker
from universal_core.queueing import Queue

log = logging.getLogger(__name__)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is to be run: what the Router decided, ready for the Pool."""

    name: str
    info: ModelInfo
    claim: Claim
    backend: Backend
    options: dict[str, Any]
    pinned: bool = False
    devices: tuple[str, ...] = ("cpu",)
    """Where it may run; the Pool places it on the one with the most room."""
    adapter: str | None = None
    base: "Plan | None" = None
    """Where an adapter is meant, the plan of the model that it stands over; ``name`` is then what was asked for."""
    unload_timeout: float | None = None
    """Seconds idle after which it goes; 0 keeps it, None leaves it to the pool's own."""
    task: str | None = None
    generation: int = 0
    """What it was made for, and by which of the configurations that the server has had."""

    @property
    def loaded(self) -> "Plan":
        """The plan of what is in memory: the model itself, whichever of its adapters is meant."""
        return self.base or self

    @property
    def key(self) -> tuple[str, str]:
        """What makes two plans the same model in memory."""
        return self.loaded.name, self.claim.backend

    def adapted(self, name: str, adapter: str) -> "Plan":
        """Return the plan for one of the model's adapters, which was asked for by ``name``."""
        return msgspec.structs.replace(self, name=name, adapter=adapter, base=self)


class JobProgress(msgspec.Struct, frozen=True):
    """How far a running request has come: ``done`` steps of ``total``."""

    task: str
    request_id: str
    done: int
    total: int


class Entry:
    """A model that is loading or loaded, with the queue before it."""

    def __init__(self, plan: Plan, queue_limit: int) -> None:
        self.plan = plan
        self.info = plan.info  # with its path, once a source has fetched it
        self.queue = Queue(plan.claim.slots, queue_limit)
        self.worker: Worker | None = None
        self.loading: asyncio.Task[None] | None = None
        self.ending: asyncio.Future[None] | None = None
        self.progress = Progress("starting")
        self.jobs: dict[object, JobProgress] = {}  # of running requests whose models tell it
        self.estimate = plan.claim.memory
        self.device = plan.devices[0]
        self.options = plan.options  # and those that its place asks for, once it has one
        self.reserved: dict[str, int] = {}  # bytes by device
        self.users = 0
        self.active = 0
        self.used = self.since = time.monotonic()
        self.gone = False

    @property
    def state(self) -> str:
        """``loading`` or ``ready``."""
        return "loading" if self.loading is not None and not self.loading.done() else "ready"

    @property
    def idle(self) -> bool:
        """Whether nobody uses it or waits for it."""
        return self.users == 0 and self.state == "ready"

    def settle(self, device: str, reserved: dict[str, int], options: dict[str, Any], spare: int) -> None:
        """Set aside what it takes on each device, where it will compute on one of them because of some options.

        ``spare`` is how much larger its cache may be.
        """
        self.device, self.options = device, self.plan.options | options
        self.reserved = reserved | {device: reserved[device] + spare}
        self.estimate = msgspec.structs.replace(self.estimate, cache=self.estimate.cache + spare, spare=0)

    @property
    def claim(self) -> Claim:
        """The claim with what has been set aside for it."""
        return msgspec.structs.replace(self.plan.claim, memory=self.estimate)

    @property
    def memory(self) -> int:
        """The bytes it takes, on the device that it runs on."""
        return self.taken.get(self.device, 0)

    @property
    def taken(self) -> dict[str, int]:
        """The bytes that it takes by now, by device; on several they are thought to be shared out as planned."""
        if self.worker is None:
            return {}
        system, elsewhere = self.worker.memory.system, self.worker.memory.device
        planned = {device: count for device, count in self.reserved.items() if device != "cpu"}
        together = sum(planned.values())
        if together:
            return {"cpu": system} | {device: elsewhere * count // together for device, count in planned.items()}
        # Apple's GPUs have the machine's own memory, and what is there is not counted as the process's.
        return {"cpu": system + elsewhere}

    def counted(self, device: str) -> int:
        """Return the bytes of a device that others cannot have: what is set aside, or what it takes if that is more."""
        return max(self.reserved.get(device, 0), self.taken.get(device, 0))

    @property
    def status(self) -> str:
        """What somebody who waits is waiting for."""
        if self.state == "loading":
            return f"loading {self.plan.name}: {self.progress}"
        return f"waiting for {self.plan.name}: {self.active} running, {self.queue.queued} queued"


class Lease:
    """The right to run one job on a loaded model; give it back with release.

    ``changed`` is told of the entry when the number of its jobs changes: now, and when the job is over.
    """

    def __init__(self, entry: Entry, hang_timeout: float, changed: Callable[[Entry], None]) -> None:
        self.entry = entry
        self._changed = changed
        self._hang_timeout = hang_timeout
        self._stream: Stream | None = None
        entry.active += 1
        changed(entry)

    def run(self, task: str, request: Any, request_id: str) -> Stream:
        """Start the job that the lease is for."""
        assert self.entry.worker is not None
        self._stream = self.entry.worker.run(task, request, request_id)
        return self._stream

    def release(self) -> None:
        """Give the slot back as soon as the worker has really stopped working on the job."""
        if self._stream is None or self._stream.ended.done():
            self._leave()
            return
        killer = asyncio.get_running_loop().call_later(self._hang_timeout, self._kill)

        def ended(_: object) -> None:
            killer.cancel()
            self._leave()

        self._stream.ended.add_done_callback(ended)

    def _kill(self) -> None:
        log.error("%s does not stop a cancelled job and is killed", self.entry.plan.name)
        if self.entry.worker is not None:
            self.entry.worker.kill()

    def _leave(self) -> None:
        entry = self.entry
        entry.active -= 1
        entry.users -= 1
        entry.used = time.monotonic()
        entry.queue.leave()
        self._changed(entry)
