"""POST /v1/responses, and what it leaves: responses to look at, to go on from, and to remove."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.errors import BadRequest, UnsupportedField
from universal_core.hookspecs import hookimpl
from universal_core.http import EventStream, answer, check, collect, frames, open_call, read_json, reads, runtime_of
from universal_core.messages import TokenizeResult
from universal_core.openai.naming import naming, naming_pieces
from universal_core.openai.response_answers import ResponseBody
from universal_core.openai.response_bodies import ResponsesBody, refuse_includes
from universal_core.openai.response_events import ResponseEvents
from universal_core.openai.response_items import sources_of
from universal_core.openai.response_output import Output
from universal_core.openai.response_store import ResponseStore
from universal_core.openai.turns import completion
from universal_core.runtime import Runtime

Query = TypeVar("Query")


class ShowQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a look at a response may ask for."""

    include: list[str] = []
    include_obfuscation: bool | None = None
    stream: bool | None = None
    starting_after: int | None = None


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which items of an input are listed."""

    include: list[str] = []
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


class ItemList(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the items of an input."""

    object: Literal["list"] = "list"
    data: list[msgspec.Raw]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ResponseRoutes:
    """The endpoints, over the file that responses are kept in."""

    def __init__(self, runtime: Runtime) -> None:
        self._store = ResponseStore(runtime)

    @reads(ResponsesBody)
    async def create(self, request: Request) -> Response:
        """Answer, whole or as a stream."""
        body = await read_json(request, ResponsesBody)
        body.refuse()
        store = self._store.stores(body)
        asked = await self._store.conversation(body)
        if store:
            # Before the model works on what cannot be kept.
            await self._store.prepare()
        media = runtime_of(request).config.media
        with naming(asked.turns.named):
            message = body.to_request(asked.turns.messages)
            complete = completion(dict(sources_of(asked.items)), asked.chat, media)
            call = await open_call(request, body.model, "chat", message, complete)
        response = ResponseBody.begin(body, call.plan.name, store=store)
        output = Output(response, summary=body.wants_summary, seal=body.wants_sealed)
        keep = partial(self._store.keep, response, asked.own)
        if body.stream:
            events = ResponseEvents(response, output, keep)
            written = frames(call, events.write, runtime_of(request).config.server.keepalive)
            pieces = naming_pieces(asked.turns.named, events.around(written))
            return EventStream(request, pieces, call.timings, events.failed)
        with naming(asked.turns.named):
            (messages,) = await collect(request, [call])
        output.read(messages)
        await keep()
        return answer(response, [call])

    @reads(ResponsesBody)
    async def count(self, request: Request) -> Response:
        """Return how many tokens the input of a response would have."""
        body = await read_json(request, ResponsesBody)
        body.refuse()
        asked = await self._store.conversation(body)
        with naming(asked.turns.named):
            message = body.to_count(asked.turns.messages)
            complete = completion(dict(sources_of(asked.items)), asked.count, runtime_of(request).config.media)
            call = await open_call(request, body.model, "tokenize", message, complete)
            ((result,),) = await collect(request, [call])
        assert isinstance(result, TokenizeResult)
        return answer({"object": "response.input_tokens", "input_tokens": len(result.tokens)}, [call])

    async def show(self, request: Request) -> Response:
        """Answer with a response that was kept."""
        query = _query(request, ShowQuery)
        refuse_includes(query.include)
        for name in ("stream", "starting_after"):
            if getattr(query, name):
                raise UnsupportedField(f"{name}: a response that was kept comes as a whole; leave it out", param=name)
        found = await self._store.find(request.path_params["id"])
        shown: dict[str, Any] = msgspec.json.decode(found.body)
        shown["output"] = [msgspec.Raw(item.body) for item in found.items if item.written]
        return answer(shown)

    async def remove(self, request: Request) -> Response:
        """Remove a response."""
        id = request.path_params["id"]
        await self._store.remove(id)
        return answer({"id": id, "object": "response", "deleted": True})

    async def list_input(self, request: Request) -> Response:
        """List the items that a response was asked for with."""
        query = _query(request, ListQuery)
        refuse_includes(query.include)
        found = await self._store.find(request.path_params["id"])
        items = [item for item in found.items if not item.written]
        if query.order == "desc":
            items.reverse()
        ids = [item.id for item in items]
        first = _place(ids, query.after, "after") + 1 if query.after is not None else 0
        last = _place(ids, query.before, "before") if query.before is not None else len(ids)
        page = items[first:last][: query.limit]
        return answer(
            ItemList(
                data=[msgspec.Raw(item.body) for item in page],
                first_id=page[0].id if page else None,
                last_id=page[-1].id if page else None,
                has_more=first + len(page) < last,
            )
        )

    async def cancel(self, request: Request) -> Response:
        """Refuse: a response is over before anybody can know its id, unless it is a stream, which its client closes."""
        await self._store.find(request.path_params["id"])
        raise BadRequest(
            "only background responses can be cancelled, and there are none here; close the stream instead"
        )


def _query(request: Request, type: type[Query]) -> Query:
    values: dict[str, Any] = dict(request.query_params)
    include = [*request.query_params.getlist("include"), *request.query_params.getlist("include[]")]
    values.pop("include[]", None)
    return check({**values, **({"include": include} if include else {})}, type)


def _place(ids: Sequence[str], id: str, param: str) -> int:
    if id not in ids:
        raise BadRequest(f"{param}: the input has no item {id}", param=param)
    return ids.index(id)


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoints."""
    routes = ResponseRoutes(runtime)
    one = "/v1/responses/{id}"
    return [
        Route("/v1/responses", routes.create, methods=["POST"]),
        Route("/v1/responses/input_tokens", routes.count, methods=["POST"]),
        Route(one, routes.show, methods=["GET"]),
        Route(one, routes.remove, methods=["DELETE"]),
        Route(f"{one}/cancel", routes.cancel, methods=["POST"]),
        Route(f"{one}/input_items", routes.list_input, methods=["GET"]),
    ]
