"""POST /v1/multimodal/caption and /v1/multimodal/vqa."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.hookspecs import hookimpl
from universal_core.http import answer, read_form, reads
from universal_core.messages import (
    AnswerQuestionRequest,
    AnswerQuestionResult,
    CaptionRequest,
    CaptionResult,
)
from universal_core.openai import Image, Positive, Source, UsageBody, given, look, source_of
from universal_core.runtime import Runtime


class ImageBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request's body with one picture."""

    image: Image
    model: str | None = None
    max_length: Positive | None = None
    user: str | None = None

    def sources(self) -> dict[str, Source]:
        """Return where the picture is, by the field that errors name. Raises BadRequest."""
        return {"image": source_of(self.image, "image")}


class CaptionBody(ImageBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body of ``/v1/multimodal/caption``."""

    prompt: str | None = None

    def to_request(self, images: Sequence[bytes]) -> CaptionRequest:
        """Return the domain's request."""
        return CaptionRequest(image=images[0], prompt=self.prompt or None, **given(max_length=self.max_length))


class QuestionBody(ImageBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body of ``/v1/multimodal/vqa``."""

    question: Annotated[str, Meta(min_length=1)]

    def to_request(self, images: Sequence[bytes]) -> AnswerQuestionRequest:
        """Return the domain's request."""
        return AnswerQuestionRequest(image=images[0], question=self.question, **given(max_length=self.max_length))


class Caption(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer: a description, and what it says as data where the model writes data."""

    caption: str
    parsed: Any = None
    model: str
    usage: UsageBody | None


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to a question, and how sure the model is where it tells."""

    answer: str
    score: float | None = None
    model: str
    usage: UsageBody | None


@reads(CaptionBody)
async def caption(request: Request) -> Response:
    """Describe a picture."""
    result, call = await look(request, await read_form(request, CaptionBody), "caption", CaptionResult)
    usage = UsageBody.of([result.usage])
    return answer(Caption(caption=result.caption, parsed=result.parsed, model=call.plan.name, usage=usage), [call])


@reads(QuestionBody)
async def answer_question(request: Request) -> Response:
    """Answer a question about a picture."""
    result, call = await look(request, await read_form(request, QuestionBody), "answer_question", AnswerQuestionResult)
    usage = UsageBody.of([result.usage])
    return answer(Answer(answer=result.answer, score=result.score, model=call.plan.name, usage=usage), [call])


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoints."""
    return [
        Route("/v1/multimodal/caption", caption, methods=["POST"]),
        Route("/v1/multimodal/vqa", answer_question, methods=["POST"]),
    ]
