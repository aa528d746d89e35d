"""What WebSocket endpoints have in common: how they read their query, and how they tell what is wrong."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from universal_core.errors import UniversalError
from universal_core.http import explained

REFUSED = 4000
"""What is added to an error's HTTP status to make the code that a connection is closed with."""

_LONGEST_REASON = 120


class ErrorEvent(msgspec.Struct, frozen=True, tag="error"):
    """What was wrong with a message."""

    message: str
    code: str | None

    @classmethod
    def of(cls, error: UniversalError) -> "ErrorEvent":
        """Return the event that tells of an error."""
        return cls(error.message, error.code)


async def send_event(websocket: WebSocket, event: Any) -> None:
    """Send a Struct as JSON."""
    await websocket.send_text(msgspec.json.encode(event).decode())


async def until_one_ends(*works: Coroutine[Any, Any, None]) -> None:
    """Run both sides of a connection until one of them ends; the others are cancelled. Raises what that one raises."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def serve(websocket: WebSocket, work: Awaitable[None]) -> None:
    """Accept a connection and serve it; an error that the work raises is told, and closes it."""
    await websocket.accept()
    try:
        await work
    except WebSocketDisconnect:
        return
    except UniversalError as found:
        error = explained(found, websocket.scope)
        await send_event(websocket, ErrorEvent.of(error))
        reason = error.message.encode()[:_LONGEST_REASON].decode(errors="ignore")
        await websocket.close(REFUSED + error.status, reason)
