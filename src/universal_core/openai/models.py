"""GET /v1/models and /v1/models/{id}, POST /v1/models/load and /v1/models/unload."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.adapters import all_adapted, find_adapted
from universal_core.entry import Entry, Plan
from universal_core.errors import ModelNotFound
from universal_core.hookspecs import hookimpl
from universal_core.http import EventStream, answer, data, note, read_json, runtime_of, until_disconnect
from universal_core.openai.model_objects import ModelList, ModelObject, describe, is_here
from universal_core.openai.progress import ProgressEvent, progress_events
from universal_core.runtime import Runtime


class ModelBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of load and unload."""

    model: str
    stream: bool | None = None


class LoadBody(ModelBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of load; ``task`` says what the model is loaded for, where several backends could run it."""

    task: str | None = None


async def list_models(request: Request) -> Response:
    """List what is loaded, cached and configured."""
    runtime = runtime_of(request)

    def objects() -> list[ModelObject]:
        known = runtime.known_models()
        adapted = {name: found.base for name, found in all_adapted(runtime.config).items() if found.base in known}
        return [
            describe(runtime, name, *known[adapted.get(name, name)], adapted.get(name))
            for name in sorted(known.keys() | adapted.keys())
        ]

    return answer(ModelList(await asyncio.to_thread(objects)))


async def get_model(request: Request) -> Response:
    """Describe one model; one that is known only to the hub is found too."""
    runtime, name = runtime_of(request), request.path_params["model"]

    def find() -> ModelObject:
        info, entry = runtime.known_models().get(name, (None, None))
        if info is not None and not is_here(info):
            # The hub is not asked for a model of which a part is here, or on its way.
            return describe(runtime, name, info, entry)
        found = runtime.router.find(name)
        entry = runtime.config.model.get(found.base or name)
        return describe(runtime, found.name, found.info, entry, found.base)

    return answer(await asyncio.to_thread(find))


async def load_model(request: Request) -> Response:
    """Load a model and answer when it is ready; with ``stream`` the progress comes as events."""
    body = await read_json(request, LoadBody)
    runtime = runtime_of(request)
    plan = await runtime.router.plan(body.model, body.task)
    note(request, model=plan.name)
    if body.stream:
        return EventStream(request, _progress(runtime, plan))
    entry = await until_disconnect(request, runtime.pool.load(plan))
    base = plan.base.name if plan.base else None
    return answer(await asyncio.to_thread(describe, runtime, plan.name, entry.info, None, base))


async def _progress(runtime: Runtime, plan: Plan) -> AsyncGenerator[bytes]:
    """Yield the load's progress whenever it has changed, then the model."""
    entries: list[Entry] = []
    events = progress_events(
        runtime.pool.load(plan, entries.append),
        lambda: entries[0].progress if entries else None,
        lambda progress: ProgressEvent.of(plan.name, "loading", progress),
    )
    async with aclosing(events):
        async for event in events:
            yield event
    yield data(ProgressEvent(plan.name, "ready", "ready", 1.0))


async def unload_model(request: Request) -> Response:
    """End a model's worker; what runs on it gets an error."""
    body = await read_json(request, ModelBody)
    runtime = runtime_of(request)
    note(request, model=body.model)
    adapted = find_adapted(runtime.config, body.model)
    name = adapted.base if adapted else body.model
    entries = [entry for entry in runtime.pool.entries.values() if name in (entry.plan.name, entry.info.id)]
    if not entries:
        loaded = ", ".join(sorted({entry.plan.name for entry in runtime.pool.entries.values()}))
        raise ModelNotFound(f"{body.model!r} is not loaded; loaded are: {loaded or 'none'}", param="model")
    name = entries[0].plan.name
    await runtime.pool.unload(name, "asked for")
    return answer({"id": name, "object": "model", "state": "unloaded"})


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoints."""
    return [
        Route("/v1/models", list_models, methods=["GET"]),
        Route("/v1/models/load", load_model, methods=["POST"]),
        Route("/v1/models/unload", unload_model, methods=["POST"]),
        Route("/v1/models/{model:path}", get_model, methods=["GET"]),
    ]
