"""POST /v1/embeddings."""

import base64
import sys
from array import array
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.errors import BadRequest
from universal_core.hookspecs import hookimpl
from universal_core.http import answer, collect, open_call, read_json
from universal_core.messages import EmbedRequest, EmbedResult
from universal_core.openai.inputs import Inputs, InputUsage, split
from universal_core.runtime import Runtime

MOST_INPUTS = 2048
"""OpenAI's limit of inputs in one request."""


class EmbeddingsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body."""

    input: Inputs
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    normalize: bool | None = None
    input_type: str | None = None
    prompt_name: str | None = None
    user: str | None = None

    def to_request(self) -> EmbedRequest:
        """Return the domain's request. Raises BadRequest."""
        if self.input_type and self.prompt_name and self.input_type != self.prompt_name:
            raise BadRequest(
                "input_type and prompt_name differ; they mean the same, so send one of them", param="input_type"
            )
        return EmbedRequest(
            input=self._inputs(),
            dimensions=self.dimensions,
            normalize=self.normalize is not False,
            prompt_name=self.prompt_name or self.input_type,
        )

    def _inputs(self) -> tuple[str | tuple[int, ...], ...]:
        inputs = split(self.input, "input")
        if len(inputs) > MOST_INPUTS:
            raise BadRequest(
                f"input: at most {MOST_INPUTS} in one request, got {len(inputs)}; send several", param="input"
            )
        return tuple(inputs)


class Embedding(msgspec.Struct):
    """One vector."""

    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class Embeddings(msgspec.Struct):
    """The answer."""

    model: str
    data: list[Embedding]
    usage: InputUsage
    object: Literal["list"] = "list"

    @classmethod
    def of(cls, model: str, result: EmbedResult, *, text: bool) -> "Embeddings":
        """Return a result as base64 of its float32 values, or as numbers."""
        step = result.dimensions * 4
        rows = [result.vectors[start : start + step] for start in range(0, len(result.vectors), step)] if step else []
        encode = _base64 if text else _numbers
        vectors = [Embedding(at, encode(row)) for at, row in enumerate(rows)]
        return cls(model, vectors, InputUsage.of(result.usage.prompt_tokens))


def _base64(row: bytes) -> str:
    return base64.b64encode(row).decode()


def _numbers(row: bytes) -> list[float]:
    values = array("f", row)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()


async def create(request: Request) -> Response:
    """Return a vector for each input, in order."""
    body = await read_json(request, EmbeddingsBody)
    call = await open_call(request, body.model, "embed", body.to_request())
    ((result,),) = await collect(request, [call])
    assert isinstance(result, EmbedResult)
    return answer(Embeddings.of(call.plan.name, result, text=body.encoding_format == "base64"), [call])


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint."""
    return [Route("/v1/embeddings", create, methods=["POST"])]
