"""POST /v1/models/pull."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.entry import Plan
from universal_core.errors import Draining
from universal_core.hookspecs import hookimpl
from universal_core.http import EventStream, answer, data, note, read_json, runtime_of, until_disconnect
from universal_core.models import ModelInfo, Progress
from universal_core.openai.progress import download_event, progress_events
from universal_core.runtime import Runtime


class PullBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a pull."""

    model: str
    stream: bool | None = None


class Pulled(msgspec.Struct, kw_only=True):
    """A model whose files are on this machine: those that its backend needs, and where they are."""

    model: str
    status: str = "success"
    size_bytes: int
    path: str | None
    revision: str | None
    files: tuple[str, ...]


async def pull_model(request: Request) -> Response:
    """Bring a model's files to this machine: those that the backend which would run it needs, and no others."""
    body = await read_json(request, PullBody)
    runtime = runtime_of(request)
    if runtime.pool.draining:
        raise Draining("the server is shutting down; try again in a moment", retry_after=5)
    plan = await runtime.router.plan(body.model)
    note(request, model=plan.name)
    if body.stream is not False:
        return EventStream(request, _events(runtime, plan))
    return answer(_pulled(plan, await until_disconnect(request, _fetch(runtime, plan, []))))


async def _fetch(runtime: Runtime, plan: Plan, told: list[Progress]) -> ModelInfo:
    """Return the model's info with its path, when the files are there; how far that is is added to what was told."""
    if plan.info.path is not None:
        return plan.info
    info = await runtime.pool.downloads.fetch(plan.info, plan.claim, told.append)
    runtime.router.forget()
    return info


async def _events(runtime: Runtime, plan: Plan) -> AsyncGenerator[bytes]:
    told: list[Progress] = []
    fetching = asyncio.ensure_future(_fetch(runtime, plan, told))

    events = progress_events(
        fetching, lambda: told[-1] if told else None, lambda progress: download_event(plan.name, progress)
    )
    async with aclosing(events) as pieces:
        async for piece in pieces:
            yield piece
    yield data(_pulled(plan, fetching.result()))


def _pulled(plan: Plan, info: ModelInfo) -> Pulled:
    files = info.matching(*plan.claim.files)
    return Pulled(
        model=plan.name,
        size_bytes=sum(file.size for file in files),
        path=info.path,
        revision=info.revision,
        files=tuple(file.name for file in files),
    )


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint."""
    return [Route("/v1/models/pull", pull_model, methods=["POST"])]
