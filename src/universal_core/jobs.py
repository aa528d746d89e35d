"""A job inside the worker: one request being answered, in whichever of the three ways the model's method works."""

import asyncio
import inspect
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Any

import msgspec

from universal_core.batching import take_batches
from universal_core.errors import Failure, InternalError, UniversalError
from universal_core.execution import runs_on_loop
from universal_core.frames import WINDOW, Batch, Emitted, Ended, Run, pack, unpack
from universal_core.messages import Finish, GenerationRequest, Message, Text

log = logging.getLogger(__name__)

Packed = tuple[str, msgspec.Raw]
"""An event as it goes into a frame: packed where the model made it, so that what cannot be packed fails its job."""


class Outbox:
    """Collects what jobs produce, and sends all of one turn of the loop as one frame."""

    def __init__(self, send: Callable[[Batch], None]) -> None:
        self._send = send
        self._items: list[Emitted | Ended] = []

    def put(self, item: Emitted | Ended) -> None:
        """Add an item to the next frame."""
        if not self._items:
            asyncio.get_running_loop().call_soon(self._flush)
        self._items.append(item)

    def _flush(self) -> None:
        items, self._items = self._items, []
        self._send(Batch(items))


class Job:
    """One request being answered; its events wait while the reader has not granted room for more."""

    def __init__(self, number: int, outbox: Outbox) -> None:
        self.number = number
        self.late = 0
        self._outbox = outbox
        self._credit = WINDOW
        self._waiting: deque[Packed] = deque()
        self._room = threading.Semaphore(WINDOW)
        self._drained = asyncio.Event()
        self._cancelled = False
        self._reason: Failure | None = None
        self._running: asyncio.Task[None] | None = None

    def grant(self, count: int) -> None:
        """Let this many more events go."""
        self._credit += count
        self._room.release(count)
        while self._waiting and self._credit > 0:
            self._forward(self._waiting.popleft())
        if not self._waiting:
            self._drained.set()

    def cancel(self, reason: Failure | None = None) -> None:
        """Stop within one step: an async method at its next await, a plain generator when its step returns.

        ``reason`` is what the reader is told, None where it is gone.
        """
        self._cancelled = True
        self._reason = reason
        self._room.release()
        self._drained.set()
        if self._running is not None:
            self._running.cancel()

    async def run(self, run_task: Callable[..., Any], model: Any, frame: Run, thread: Executor) -> None:
        """Answer the frame's request through the run_task hook, and tell how it ended."""
        failure: Failure | None = None
        try:
            await self._answer(run_task, model, frame, thread)
            await self._settle()
        except asyncio.CancelledError:
            pass  # cancel() did this
        except UniversalError as error:
            failure = error.to_failure()
        except Exception as error:  # the worker's boundary: whatever a model raises ends this job alone
            log.exception("%s failed", frame.task, extra={"request_id": frame.request_id})
            failure = InternalError(
                f"the model failed in {frame.task}: {type(error).__name__}; the server's log has the details"
            ).to_failure()
        finally:
            self._outbox.put(Ended(self.number, failure or self._reason, self.late, *take_batches()))

    async def _answer(self, run_task: Callable[..., Any], model: Any, frame: Run, thread: Executor) -> None:
        loop = asyncio.get_running_loop()
        request = unpack(frame.schema, frame.data)

        def ask() -> Any:
            return run_task(model=model, task=frame.task, request=request)

        if runs_on_loop(model, frame.task):
            answer = None if self._cancelled else ask()
        else:
            answer = await loop.run_in_executor(thread, self._produce, ask, request, loop)
        if answer is not None:
            self._running = asyncio.current_task()
            await self._take(answer, request)

    async def _settle(self) -> None:
        """Wait until the reader has room for what it was not yet sent."""
        while self._waiting and not self._cancelled:
            self._drained.clear()
            await self._drained.wait()

    async def _take(self, answer: Any, request: Message) -> None:
        """Forward what an async method gives: events one by one, or a single result."""
        if inspect.isawaitable(answer):
            answer = await answer
        if not isinstance(answer, AsyncIterator):
            for event in complete(answer, request):
                self._put(pack(event))
            return
        unfinished = _Unfinished(request)
        async with aclosing(answer):  # type: ignore[type-var]
            async for event in answer:
                await self._settle()
                self._put(pack(unfinished.see(event)))
        for event in unfinished.rest():
            self._put(pack(event))

    def _produce(self, ask: Callable[[], Any], request: Message, loop: asyncio.AbstractEventLoop) -> Any:
        """Forward what a plain method gives; runs on the model's thread. What turns out to be async is returned."""
        if self._cancelled:
            return None
        answer = ask()
        if inspect.isawaitable(answer) or isinstance(answer, AsyncIterator):
            return answer
        events = complete(answer, request)
        try:
            for event in events:
                if self._cancelled:
                    self.late += 1
                    break
                # As many as the reader has granted: the model waits for a slow reader.
                self._room.acquire()
                loop.call_soon_threadsafe(self._put, pack(event))
                if self._cancelled:
                    break
        finally:
            events.close()
        return None

    def _put(self, event: Packed) -> None:
        if self._cancelled:
            return
        if self._credit > 0 and not self._waiting:
            self._forward(event)
        else:
            self._waiting.append(event)

    def _forward(self, event: Packed) -> None:
        self._credit -= 1
        self._outbox.put(Emitted(self.number, *event))


class _Unfinished:
    """Turns bare strings into Text, and knows which answers of a generation have not been given a Finish."""

    def __init__(self, request: Message) -> None:
        self._open = set(range(request.n)) if isinstance(request, GenerationRequest) else set()

    def see(self, event: Any) -> Message:
        """Return the event as a Message."""
        if isinstance(event, str):
            return Text(text=event)
        if isinstance(event, Finish):
            self._open.discard(event.index)
        if not isinstance(event, Message):
            raise TypeError(f"a model gave {type(event).__name__}; expected str, an Event or a Result")
        return event

    def rest(self) -> list[Message]:
        """Return the Finish events that the model left out: it stopped by itself."""
        return [Finish(reason="stop", index=index) for index in sorted(self._open)]


def complete(answer: Any, request: Message) -> Any:
    """Yield the messages of a plain answer: a result, a string, or an iterable of events."""
    if isinstance(answer, Message) and not isinstance(answer, Text):
        yield answer
        return
    unfinished = _Unfinished(request)
    events = iter([answer] if isinstance(answer, str | Text) else answer)
    try:
        for event in events:
            yield unfinished.see(event)
    finally:
        close = getattr(events, "close", None) if isinstance(events, Iterator) else None
        if close is not None:
            close()
    yield from unfinished.rest()
