"""Bytes and server-sent events: sent as they come, kept alive while none come, and stopped when the client goes."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from universal_core.call import Call
from universal_core.errors import RequestAborted, UniversalError
from universal_core.http.defaults import explained
from universal_core.http.errors import defect, error_response
from universal_core.http.scope import note, request_id
from universal_core.messages import Message

Value = TypeVar("Value")
DONE = b"data: [DONE]\n\n"
_encoder = msgspec.json.Encoder()


def data(value: Any, event: str = "") -> bytes:
    """Return an event with a JSON value, and with a name where its API gives it one."""
    name = b"event: " + event.encode() + b"\n" if event else b""
    return name + b"data: " + _encoder.encode(value) + b"\n\n"


def comment(text: str) -> bytes:
    """Return a line that clients ignore and that keeps connections open."""
    return b": " + text.replace("\n", " ").encode() + b"\n\n"


async def frames(
    call: Call,
    write: Callable[[Sequence[Message]], bytes | Awaitable[bytes]],
    keepalive: float,
    idle: Callable[[str], bytes] = comment,
) -> AsyncGenerator[bytes]:
    """Yield a call's events as bytes, and what ``idle`` makes of what is happening while none come.

    ``write`` may be async, where writing takes time of its own.
    """
    entering = asyncio.ensure_future(call.__aenter__())
    try:
        while not (await asyncio.wait({entering}, timeout=keepalive or None))[0]:
            yield idle(call.status)
        entering.result()
        async for batch in call.batches(keepalive or None):
            written = write(batch) if batch else idle(call.status)
            yield written if isinstance(written, bytes) else await written
    finally:
        entering.cancel()
        with suppress(asyncio.CancelledError, UniversalError):
            await entering
        await call.__aexit__()


class ByteStream(Response):
    """A response whose bytes are sent as they are made.

    Its headers go out with the first bytes, so that an error before them is answered with a status of its own. One that
    comes later cuts the response off, and the client sees that it is not complete.
    """

    def __init__(
        self, request: Request, pieces: AsyncGenerator[bytes], media_type: str, timings: dict[str, float] | None = None
    ) -> None:
        self._request = request
        self._pieces = pieces
        self._timings = timings
        self._head = [(b"content-type", media_type.encode())]
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the pieces or the client end."""
        try:
            await until_disconnect(self._request, self._send_all(send))
        except RequestAborted:
            return
        except UniversalError as error:
            if not self._started:
                await error_response(error, scope)(scope, receive, send)
                return
            note(self._request, error=error.code)
            if not await self._explain(send, explained(error, scope)):
                return
        except Exception:
            if self._started:
                await self._explain(send, defect(request_id(self._request)))
            raise
        if self._started:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _explain(self, send: Send, error: UniversalError) -> bool:
        """Tell of an error in the body, and return whether that was possible."""
        return False

    async def _send_all(self, send: Send) -> None:
        try:
            async for piece in self._pieces:
                if piece:
                    await self._send(send, piece)
        finally:
            await self._pieces.aclose()

    async def _send(self, send: Send, piece: bytes) -> None:
        if not self._started:
            self._started = True
            headers = list(self._head)
            if self._timings is not None:
                headers.append((b"server-timing", server_timing(self._timings).encode()))
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": piece, "more_body": True})


class EventStream(ByteStream):
    """A response of server-sent events; an error that comes after the first bytes is the last event.

    ``explain`` writes that event where the API has a form of its own for it.
    """

    def __init__(
        self,
        request: Request,
        frames: AsyncGenerator[bytes],
        timings: dict[str, float] | None = None,
        explain: Callable[[UniversalError], bytes] | None = None,
    ) -> None:
        super().__init__(request, frames, "text/event-stream; charset=utf-8", timings)
        self._head += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        self._write_error = explain or _error_event

    async def _explain(self, send: Send, error: UniversalError) -> bool:
        await self._send(send, self._write_error(error))
        return True


def _error_event(error: UniversalError) -> bytes:
    return data(error.body())


async def until_disconnect(request: Request, work: Awaitable[Value]) -> Value:
    """Return what the work returns, or cancel it and raise RequestAborted when the client goes away."""
    worker = asyncio.current_task()
    assert worker is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone = True
        worker.cancel()

    # The work stays in this task: one more task and the turns of the loop to hear from it cost 50 µs a request.
    watching = asyncio.create_task(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if gone and worker.uncancel() == 0:
            note(request, aborted=True)
            raise RequestAborted("the client went away") from None
        raise
    finally:
        watching.cancel()


def server_timing(timings: dict[str, float]) -> str:
    """Return the Server-Timing header: queue, load, prefill and generate, in milliseconds."""
    names = ("queue", "load", "prefill", "generate")
    return ", ".join(f"{name};dur={timings.get(name, 0.0) * 1000:.1f}" for name in names)
