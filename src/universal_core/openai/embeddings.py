"""POST /v1/embeddings."""

import base64
import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.call import Call
from universal_core.errors import BadRequest, UnsupportedField
from universal_core.hookspecs import hookimpl
from universal_core.http import answer, collect, open_call, read_json, reads
from universal_core.messages import EmbedImageRequest, EmbedRequest, EmbedResult
from universal_core.openai.image_inputs import InputPart, Source, look
from universal_core.openai.inputs import Inputs, InputUsage, Token, split
from universal_core.runtime import Runtime

MOST_INPUTS = 2048
"""OpenAI's limit of inputs in one request."""


class EmbeddingsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body."""

    input: str | list[str | Token | list[Token] | InputPart]
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

    def contents(self) -> list[tuple[str, bool]] | None:
        """Return each text, or where a picture is, and whether it is a picture; None where there are no parts.

        Raises BadRequest.
        """
        # Asked in this way because it is the fastest: most lists are of texts, and there can be thousands.
        if isinstance(self.input, str) or InputPart not in set(map(type, self.input)):
            return None
        self._check(len(self.input))
        return [_content(item, f"input[{at}]") for at, item in enumerate(self.input)]

    def _inputs(self) -> tuple[str | tuple[int, ...], ...]:
        contents = self.contents()
        if contents is not None:
            return tuple(text for text, _ in contents)
        inputs = split(cast("Inputs", self.input), "input")
        self._check(len(inputs))
        return tuple(inputs)

    @staticmethod
    def _check(count: int) -> None:
        if count > MOST_INPUTS:
            raise BadRequest(f"input: at most {MOST_INPUTS} in one request, got {count}; send several", param="input")


def _content(item: object, place: str) -> tuple[str, bool]:
    if isinstance(item, InputPart):
        return item.content(place)
    if isinstance(item, str):
        return item, False
    raise BadRequest(f"{place}: token ids cannot be mixed with texts and pictures; send several requests", param=place)


class MixedInput(msgspec.Struct, frozen=True):
    """A body with pictures among its inputs, and what ``contents`` returned of it."""

    body: EmbeddingsBody
    contents: list[tuple[str, bool]]

    @property
    def model(self) -> str | None:
        """The model's name."""
        return self.body.model

    def sources(self) -> dict[str, Source]:
        """Return where each picture is, by the field that errors name."""
        return {f"input[{at}]": text for at, (text, is_image) in enumerate(self.contents) if is_image}

    def to_request(self, images: Sequence[bytes]) -> EmbedImageRequest:
        """Return the domain's request. Raises UnsupportedField."""
        for name in ("input_type", "prompt_name"):
            if getattr(self.body, name):
                raise UnsupportedField(f"{name}: only for texts alone; leave it out", param=name)
        left = iter(images)
        return EmbedImageRequest(
            input=tuple(next(left) if is_image else text for text, is_image in self.contents),
            dimensions=self.body.dimensions,
            normalize=self.body.normalize is not False,
        )


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


@reads(EmbeddingsBody)
async def create(request: Request) -> Response:
    """Return a vector for each input, in order."""
    body = await read_json(request, EmbeddingsBody)
    contents = body.contents()
    if contents is not None and any(is_image for _, is_image in contents):
        result, call = await look(request, MixedInput(body, contents), "embed_image", EmbedResult)
    else:
        result, call = await _embed(request, body)
    return answer(Embeddings.of(call.plan.name, result, text=body.encoding_format == "base64"), [call])


async def _embed(request: Request, body: EmbeddingsBody) -> tuple[EmbedResult, Call]:
    try:
        call = await open_call(request, body.model, "embed", body.to_request())
        ((found,),) = await collect(request, [call])
    except BadRequest as error:
        # The domain's request has one name for the two fields.
        if error.param == "prompt_name" and not body.prompt_name:
            raise type(error)(error.message.replace("prompt_name", "input_type", 1), param="input_type") from None
        raise
    assert isinstance(found, EmbedResult)
    return found, call


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint."""
    return [Route("/v1/embeddings", create, methods=["POST"])]
