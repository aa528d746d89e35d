"""POST /v1/messages and POST /v1/messages/count_tokens."""

from collections.abc import Callable, Iterable

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from universal_core.anthropic.answers import MessageBody
from universal_core.anthropic.bodies import CountBody, MessagesBody
from universal_core.anthropic.errors import error_body, error_event
from universal_core.anthropic.stream import MessageEvents, ping
from universal_core.call import Call
from universal_core.hookspecs import hookimpl
from universal_core.http import (
    EventStream,
    ShapedRoute,
    answer,
    collect,
    frames,
    open_call,
    read_json,
    reads,
    runtime_of,
)
from universal_core.messages import TokenizeResult
from universal_core.openai import completion, naming, naming_pieces
from universal_core.runtime import Runtime


class TokensCounted(msgspec.Struct, frozen=True):
    """The answer of count_tokens."""

    input_tokens: int


@reads(MessagesBody)
async def create(request: Request) -> Response:
    """Answer a conversation, whole or as a stream."""
    body = await read_json(request, MessagesBody)
    named = body.names.of
    with naming(named):
        call = await _open(request, body, "chat")
        if body.stream:
            return _stream(request, body, call, named)
        (events,) = await collect(request, [call])
    stops = body.stop_sequences or ()
    return answer(MessageBody.of(call.plan.name, events, stops, hides_thoughts=body.hides_thoughts), [call])


def _stream(request: Request, body: MessagesBody, call: Call, named: Callable[[str], str]) -> EventStream:
    message = MessageBody.new(call.plan.name)
    events = MessageEvents(message, body.stop_sequences or (), hides_thoughts=body.hides_thoughts)
    keepalive = runtime_of(request).config.server.keepalive
    found = naming_pieces(named, events.around(frames(call, events.write, keepalive, ping)))
    return EventStream(request, found, call.timings, lambda error: error_event(error, request.scope))


@reads(CountBody)
async def count_tokens(request: Request) -> Response:
    """Return how many tokens the model would read."""
    body = await read_json(request, CountBody)
    with naming(body.names.of):
        call = await _open(request, body, "tokenize")
        ((result,),) = await collect(request, [call])
    assert isinstance(result, TokenizeResult)
    return answer(TokensCounted(len(result.tokens)), [call])


async def _open(request: Request, body: MessagesBody | CountBody, task: str) -> Call:
    """Return the call that will answer; pictures are read only for a model that takes them."""
    complete = completion(body.conversation.sources, body.to_request, runtime_of(request).config.media)
    return await open_call(request, body.model, task, body.to_request(), complete)


class _Unknown:
    """Whatever else Anthropic's API has below this path."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise HTTPException(404)


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add both endpoints; what does not exist below them is told in their shape too."""
    return [
        ShapedRoute("/v1/messages", create, methods=["POST"], shape=error_body),
        ShapedRoute("/v1/messages/count_tokens", count_tokens, methods=["POST"], shape=error_body),
        ShapedRoute("/v1/messages/{rest:path}", _Unknown(), shape=error_body),
    ]
