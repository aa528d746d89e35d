"""GET /v1/audio/voices."""

from collections.abc import Iterable
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.hookspecs import hookimpl
from universal_core.http import answer, collect, open_call
from universal_core.messages import ListVoicesRequest, ListVoicesResult
from universal_core.openai.speech import DEFAULT_MODEL
from universal_core.runtime import Runtime


class VoiceObject(msgspec.Struct, kw_only=True):
    """A voice, and the model that has it."""

    id: str
    name: str
    language: str | None
    model: str


class VoiceList(msgspec.Struct):
    """The answer."""

    data: list[VoiceObject]
    object: Literal["list"] = "list"


async def list_voices(request: Request) -> Response:
    """List the voices of a model, which is loaded for that."""
    model = request.query_params.get("model") or DEFAULT_MODEL
    call = await open_call(request, model, "list_voices", ListVoicesRequest())
    ((result,),) = await collect(request, [call])
    assert isinstance(result, ListVoicesResult)
    # The model as the client names it: that is what it sends along with one of these.
    found = [VoiceObject(id=voice.id, name=voice.name, language=voice.language, model=model) for voice in result.voices]
    return answer(VoiceList(found), [call])


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint."""
    return [Route("/v1/audio/voices", list_voices, methods=["GET"])]
