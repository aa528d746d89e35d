"""The HTTP process's handle of a worker: start, load, run, cancel, stop."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any

import msgspec

from universal_core.errors import DeadlineExceeded, LoadFailed, WorkerDied, from_failure
from universal_core.frames import (
    WINDOW,
    AnyFrame,
    Batch,
    Busy,
    Cancel,
    Emitted,
    Ended,
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
    pack,
    unpack,
)
from universal_core.messages import Message, Request
from universal_core.models import Claim, ModelInfo, Progress
from universal_core.nursery import NurseryClient
from universal_core.worker import Setup

log = logging.getLogger(__name__)


class Stream:
    """The messages of one job as they come; leaving it cancels the job in the worker.

    ``ended`` is done when the worker has really stopped working on the job, or is gone.
    """

    def __init__(self, number: int, send: Callable[[AnyFrame], None]) -> None:
        self.number = number
        self.late = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._send = send
        self._arrived: deque[Message] = deque()
        self._news = asyncio.Event()
        self._error: Exception | None = None
        self._read = 0

    def feed(self, item: Emitted | Ended) -> None:
        """Take what the worker sent."""
        if isinstance(item, Emitted):
            self._arrived.append(unpack(item.schema, item.data))
        else:
            self.late = item.late
            self._error = from_failure(item.failure) if item.failure else None
            self.ended.set_result(None)
        self._news.set()

    def fail(self, error: Exception) -> None:
        """End the stream because its worker is gone."""
        if not self.ended.done():
            self._error = error
            self.ended.set_result(None)
        self._news.set()

    async def batches(
        self, deadline: float | None = None, patience: float | None = None
    ) -> AsyncGenerator[list[Message]]:
        """Yield everything that has arrived since the last time, until the job ends; raises what the job raised.

        An empty list means that ``patience`` seconds went by without news. Raises DeadlineExceeded when the
        monotonic clock passes ``deadline``.
        """
        try:
            while True:
                if deadline is not None and time.monotonic() >= deadline and not self.ended.done():
                    raise DeadlineExceeded("not finished within the configured time (pool.request_timeout)")
                if self._arrived:
                    batch = list(self._arrived)
                    self._arrived.clear()
                    yield batch
                    self._grant(len(batch))
                elif self.ended.done():
                    if self._error is not None:
                        raise self._error
                    return
                elif not await self._wait(deadline, patience):
                    yield []
        finally:
            if not self.ended.done():
                self._send(Cancel(self.number))

    async def _wait(self, deadline: float | None, patience: float | None) -> bool:
        """Return whether there is news, at most ``patience`` seconds from now."""
        self._news.clear()
        left = None if deadline is None else deadline - time.monotonic()
        limits = [limit for limit in (left, patience) if limit is not None]
        # A bare timer: asyncio.timeout costs 12 µs, and this runs once a token.
        timer = asyncio.get_running_loop().call_later(min(limits), self._news.set) if limits else None
        try:
            await self._news.wait()
        finally:
            if timer is not None:
                timer.cancel()
        return bool(self._arrived) or self.ended.done()

    def _grant(self, count: int) -> None:
        self._read += count
        if self._read >= WINDOW // 2 and not self.ended.done():
            self._send(Grant(self.number, self._read))
            self._read = 0


class Worker:
    """One worker process and the jobs that run in it."""

    def __init__(self) -> None:
        self.pid = 0
        self.memory = Memory(0, 0)
        self.batches = self.rows = 0  # computed so far
        self.measured: Callable[[], None] = lambda: None
        self.closed = asyncio.Event()
        self._exit: asyncio.Future[int] | None = None
        self._kill: Callable[[int], None] = lambda number: None
        self._protocol = FrameProtocol(self._receive, self._lost)
        self._streams: dict[int, Stream] = {}
        self._numbers = 0
        self._report: Callable[[Progress], None] = lambda progress: None
        self._done: asyncio.Future[ModelInfo] = asyncio.get_running_loop().create_future()
        self._stopping = False
        self._told = 1

    async def start(self, setup: Setup, nursery: NurseryClient | None) -> None:
        """Bring the process up: forked by the nursery where there is one, a new interpreter otherwise."""
        ours, theirs = socket.socketpair()
        try:
            self.pid = await nursery.fork(theirs) if nursery else 0
            if nursery and self.pid:
                pid = self.pid
                self._exit = nursery.exited(pid)
                self._kill = lambda number: nursery.signal(pid, number)
            else:
                await self._spawn(theirs, setup)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: self._protocol, sock=ours)

    async def _spawn(self, theirs: socket.socket, setup: Setup) -> None:
        descriptor = theirs.fileno()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "universal_core.worker", str(descriptor), str(os.getpid())),
            msgspec.json.encode(setup).decode(),
            pass_fds=[descriptor],
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        self.pid = process.pid
        self._exit = asyncio.ensure_future(process.wait())

        def kill(number: int) -> None:
            with suppress(ProcessLookupError):
                process.send_signal(number)

        self._kill = kill

    async def load(
        self, info: ModelInfo, claim: Claim, options: dict[str, Any], report: Callable[[Progress], None]
    ) -> ModelInfo:
        """Load the model; returns its info with the path it was loaded from. Raises LoadFailed and its like."""
        return await self._begin(Load(info, claim, options), report, "loading")

    async def fetch(self, info: ModelInfo, claim: Claim, report: Callable[[Progress], None]) -> ModelInfo:
        """Bring the claim's files here; returns the info with their path. Raises LoadFailed and its like."""
        return await self._begin(Fetch(info, claim), report, "downloading")

    async def _begin(self, frame: Load | Fetch, report: Callable[[Progress], None], doing: str) -> ModelInfo:
        self._report = report
        self._protocol.send(frame)
        try:
            return await self._done
        except WorkerDied:
            raise LoadFailed(f"{doing} {frame.info.id} ended its process: {await self.exit_reason()}") from None

    def run(self, task: str, request: Request, request_id: str = "") -> Stream:
        """Start a job. Raises WorkerDied where the process is gone, BadRequest for what no frame can carry."""
        if self.closed.is_set():
            raise self._death()
        packed = pack(request)
        self._numbers += 1
        stream = self._streams[self._numbers] = Stream(self._numbers, self._protocol.send)
        self._protocol.send(Run(self._numbers, task, *packed, request_id))
        return stream

    def tell_busy(self, models: int) -> None:
        """Let the process know how many models compute on the processor now, if it does not know."""
        if models != self._told:
            self._told = models
            self._protocol.send(Busy(models))

    def _receive(self, frame: AnyFrame) -> None:
        match frame:
            case Batch(items):
                for item in items:
                    stream = self._streams.get(item.job)
                    if isinstance(item, Ended):
                        self.batches += item.batches
                        self.rows += item.rows
                        self._streams.pop(item.job, None)
                    if stream is not None:
                        stream.feed(item)
            case Loading(progress):
                self._report(progress)
            case Memory():
                self.memory = frame
                self.measured()
            case Ready(info, memory) if not self._done.done():
                self.memory = memory
                self._done.set_result(info)
            case Fetched(info) if not self._done.done():
                self._done.set_result(info)
            case Failed(failure) if not self._done.done():
                self._done.set_exception(from_failure(failure))

    def _lost(self) -> None:
        """The process is gone: end what ran in it, and say so to whoever waits for the load."""
        self.closed.set()
        error = self._death()
        if not self._done.done():
            self._done.set_exception(error)
            # Nobody may be waiting for it any more; asking marks it as seen.
            self._done.exception()
        for stream in self._streams.values():
            stream.fail(error)
        self._streams.clear()

    def _death(self) -> WorkerDied:
        return WorkerDied("the model's process ended while answering; nothing was kept, so it is safe to retry")

    async def exit_reason(self) -> str:
        """Wait for the process's end and say how it ended."""
        code = await asyncio.shield(self._exit) if self._exit else 0
        if self._stopping:
            return "stopped"
        if code < 0:
            name = signal.Signals(-code).name
            return f"killed by {name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
        return f"exited with status {code}"

    def kill(self) -> None:
        """End the process at once."""
        self._kill(signal.SIGKILL)

    async def stop(self, grace: float) -> None:
        """End the process: SIGTERM, then SIGKILL after ``grace`` seconds (at once for 0); returns when it is gone."""
        self._stopping = True
        if self._exit is not None:
            if grace > 0:
                self._kill(signal.SIGTERM)
            if not await finished(self._exit, grace):
                if grace > 0:
                    log.warning("worker %d did not stop within %.0f s and is killed", self.pid, grace)
                self._kill(signal.SIGKILL)
                await asyncio.shield(self._exit)
        self._protocol.close()


async def finished(future: asyncio.Future[Any], seconds: float) -> bool:
    """Wait at most this long for a future to end, in whatever way; it goes on when this gives up."""
    return bool((await asyncio.wait({future}, timeout=seconds))[0])
