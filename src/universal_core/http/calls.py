"""From a checked request to a model's answer, with all that HTTP adds: the caller, the log, a client that leaves."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from universal_core.call import Call
from universal_core.http.scope import caller, note, request_id, trace_headers
from universal_core.http.stream import server_timing, until_disconnect
from universal_core.messages import Message
from universal_core.messages import Request as TaskRequest
from universal_core.router import refuse_unsupported
from universal_core.runtime import Runtime

_encoder = msgspec.json.Encoder()


def runtime_of(request: HTTPConnection) -> Runtime:
    """Return the runtime that serves a request."""
    runtime: Runtime = request.app.state.runtime
    return runtime


async def open_call(
    request: Request,
    model: str | None,
    task: str,
    message: TaskRequest,
    complete: Callable[[], Awaitable[TaskRequest]] | None = None,
) -> Call:
    """Return the call that will answer; everything that can be refused beforehand has been.

    ``complete`` gives the whole message where that takes time, as fetching a picture does: only for a model that
    honours what the message asks for.
    """
    router = runtime_of(request).router
    plan = await router.plan(model, task)
    note(request, model=plan.name)
    if complete is not None:
        refuse_unsupported(message, plan.claim)
        message = await until_disconnect(request, complete())
    return router.call(
        plan, task, message, key=caller(request), request_id=request_id(request), trace=trace_headers(request)
    )


async def collect(request: Request, calls: Sequence[Call]) -> list[list[Message]]:
    """Return all that each of some calls gives; when one fails, or the client goes away, all stop."""
    return await until_disconnect(request, _together(calls))


async def _together(calls: Sequence[Call]) -> list[list[Message]]:
    if len(calls) == 1:
        return [await _everything(calls[0])]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_everything(call)) for call in calls]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _everything(call: Call) -> list[Message]:
    async with call:
        return [message async for batch in call.batches() for message in batch]


def answer_text(text: str, calls: Sequence[Call], media_type: str) -> Response:
    """Return a text that is no JSON as a response, with the times that its calls took."""
    return Response(text.encode(), 200, _timed(calls), media_type=media_type)


def answer(value: Any, calls: Sequence[Call] = (), headers: dict[str, str] | None = None) -> Response:
    """Return a value as a JSON response, with the times that its calls took: of several, the longest."""
    headers = {**(headers or {}), **_timed(calls)}
    return Response(_encoder.encode(value), 200, headers, media_type="application/json")


def _timed(calls: Sequence[Call]) -> dict[str, str]:
    if not calls:
        return {}
    names = {name for call in calls for name in call.timings}
    return {"server-timing": server_timing({n: max(call.timings.get(n, 0.0) for call in calls) for n in names})}
