"""The child process: one model, the jobs that run on it, and the frames that tell of them."""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import psutil

from universal_core import logs
from universal_core.config import LoggingConfig
from universal_core.cores import cores
from universal_core.errors import LoadFailed, UniversalError, WorkerDied
from universal_core.execution import Execution, ModelThread, runs_apart
from universal_core.frames import (
    AnyFrame,
    Busy,
    Cancel,
    Failed,
    Fetch,
    Fetched,
    FrameProtocol,
    Grant,
    Load,
    Loading,
    Memory,
    Ready,
    Run,
)
from universal_core.jobs import Job, Outbox
from universal_core.models import Progress
from universal_core.plugins import Plugins

log = logging.getLogger(__name__)

MEMORY_INTERVAL = 10.0
_UNLOADED = WorkerDied("the model was unloaded while it was answering; nothing was kept, so it is safe to retry")
_PR_SET_PDEATHSIG = 1
_SPINS = "10000"
_M_ARENA_MAX = -8

Report = Callable[[Progress], None]
Begin = TypeVar("Begin", Load, Fetch)


class Setup(msgspec.Struct, frozen=True):
    """What a process that hosts models, or forks such processes, is told when it starts."""

    preload: tuple[str, ...] = ()
    block: tuple[str, ...] = ()
    logging: LoggingConfig = LoggingConfig()


class Host:
    """Loads one model and runs jobs on it until it is told to stop or the server is gone."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._thread = ModelThread()
        self._connection = FrameProtocol(self._receive, die)
        self._outbox = Outbox(self._connection.send)
        self._jobs: dict[int, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._model: Any = None
        self._measured = 0.0
        self._worked = False
        self._stopping = asyncio.Event()

    async def serve(self, connection: socket.socket) -> None:
        """Answer frames until SIGTERM; then end what runs and close the model."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        await loop.create_connection(lambda: self._connection, sock=connection)
        await self._stopping.wait()
        for job in list(self._jobs.values()):
            job.cancel(_UNLOADED.to_failure())
        if self._model is not None:
            await self._close()

    async def _close(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
        close = getattr(self._model, "close", None)
        if close is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, close)

    def _receive(self, frame: AnyFrame) -> None:
        match frame:
            case Run():
                self._start(self._run(self._new_job(frame), frame))
            case Cancel(job) if job in self._jobs:
                self._jobs[job].cancel()
            case Grant(job, count) if job in self._jobs:
                self._jobs[job].grant(count)
            case Busy(models):
                cores().divide(models)
            case Load():
                self._start(self._begin(frame, self._load))
            case Fetch():
                self._start(self._begin(frame, self._fetch))

    def _start(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begin(self, frame: Begin, work: Callable[[Begin, Report], AnyFrame]) -> None:
        """Do what the process is for, on the model's thread, and send what became of it."""
        loop = asyncio.get_running_loop()

        def report(progress: Progress) -> None:
            loop.call_soon_threadsafe(self._connection.send, Loading(progress))

        try:
            answer = await loop.run_in_executor(self._thread, work, frame, report)
        except UniversalError as error:
            self._connection.send(Failed(error.to_failure()))
        except Exception as error:  # the worker's boundary: a load may fail in any way
            log.exception("loading %s failed", frame.info.id)
            words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            self._connection.send(Failed(LoadFailed(f"{frame.info.id} could not be loaded: {words}").to_failure()))
        else:
            if self._model is not None and all(runs_apart(self._model, task) for task in frame.claim.tasks):
                # OpenMP counts the threads that it keeps for this one, and lets those that compute elsewhere wait
                # for one another in a way that is slower by a third where there are more of them than cores.
                self._thread.rest()
            self._connection.send(answer)

    def _load(self, frame: Load, report: Report) -> Ready:
        backends = self._plugins.backends
        self._plugins.manager.register(Execution(backends, self._thread))
        report(Progress("loading"))
        options = msgspec.convert(frame.options, backends[frame.claim.backend].options)
        model = self._plugins.hook.load_model(info=frame.info, claim=frame.claim, options=options, report=report)
        if model is None:
            raise LoadFailed(f"no plugin loads {frame.info.id} for backend {frame.claim.backend}")
        self._model = model
        give_back()
        return Ready(frame.info, self._memory())

    def _fetch(self, frame: Fetch, report: Report) -> Fetched:
        return Fetched(self._plugins.hook.fetch_model(info=frame.info, claim=frame.claim, report=report) or frame.info)

    def _new_job(self, frame: Run) -> Job:
        job = self._jobs[frame.job] = Job(frame.job, self._outbox)
        return job

    async def _run(self, job: Job, frame: Run) -> None:
        try:
            await job.run(self._plugins.hook.run_task, self._model, frame, self._thread)
        finally:
            del self._jobs[job.number]
            self._measure()

    def _measure(self) -> None:
        """Tell what the model takes: now and then, and after its first job, which is the first to touch all weights."""
        if not self._worked or time.monotonic() - self._measured > MEMORY_INTERVAL:
            self._worked = True
            self._connection.send(self._memory())

    def _memory(self) -> Memory:
        """Return what would come back if this process ended: its own pages, and what the model has on a device."""
        self._measured = time.monotonic()
        device = getattr(self._model, "device_memory", None)
        return Memory(psutil.Process().memory_full_info().uss, int(device()) if callable(device) else 0)


def die() -> None:
    """End this process group at once: the server is gone, so nobody waits for anything here."""
    os.killpg(0, signal.SIGKILL)


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies, however that happens (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        die()


def host(connection: socket.socket, plugins: Plugins) -> None:
    """Run a worker on its end of the socketpair; returns when the model is closed."""
    share_heap()
    asyncio.run(Host(plugins).serve(connection))


def spin_briefly() -> None:
    """Let the threads of GNU's OpenMP give up their cores soon while they wait; call it before libraries are imported.

    What the environment says of it already stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        # PyTorch's and llama.cpp's threads spin between two products, 300,000 times unless told otherwise, which is
        # milliseconds. Where other programs wanted both cores, a step that one thread did in 60 ms took two of them 560
        # and more, and 170 to 310 with this; on free cores no difference could be measured.
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def share_heap() -> None:
    """Let all threads allocate from one heap; call it before there are any.

    What the environment says of it already stays; a C library that is not GNU's is left as it is.
    """
    # It has heaps of 64 MB for every thread but the first, which hold two tensors of 25 MB and nothing in what is left.
    # With one heap for all, the most that all-MiniLM-L6 takes at work fell from 337 to 228 MB in bfloat16, and from 323
    # to 273 MB in float32.
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):
            library.mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Return to the system what the C library keeps of memory that is free again, such as copies made while loading."""
    # After loading in bfloat16 from files in float32, BERT-base kept 60 MB of 340 without it.
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "malloc_trim"):
            library.malloc_trim(0)


def main(arguments: list[str]) -> None:
    """Run a worker in an interpreter of its own: ``python -m universal_core.worker FD PARENT SETUP``."""
    connection = socket.socket(fileno=int(arguments[0]))
    die_with_parent(int(arguments[1]))
    setup = msgspec.json.decode(arguments[2], type=Setup)
    logs.configure(setup.logging)
    spin_briefly()
    host(connection, Plugins(setup.block))
    leave()


def leave(code: int = 0) -> None:
    """End without waiting for threads of libraries; everything of value was flushed."""
    sys.stderr.flush()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
