"""POST /v1/rerank, which Jina's clients and Cohere's call too."""

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.errors import BadRequest
from universal_core.hookspecs import hookimpl
from universal_core.http import answer, collect, open_call, read_json, reads
from universal_core.messages import RerankRequest, RerankResult
from universal_core.openai.generation import Stamp
from universal_core.openai.inputs import InputUsage
from universal_core.runtime import Runtime

MOST_DOCUMENTS = 2048
"""Documents in one request: Jina's limit."""


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document as an object."""

    text: str


class RerankBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body."""

    query: Annotated[str, Meta(min_length=1)]
    documents: Annotated[list[str | Document], Meta(min_length=1)]
    model: str | None = None
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool | None = None
    user: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The documents' texts in order."""
        return tuple(document if isinstance(document, str) else document.text for document in self.documents)

    def to_request(self) -> RerankRequest:
        """Return the domain's request. Raises BadRequest."""
        if len(self.documents) > MOST_DOCUMENTS:
            raise BadRequest(
                f"documents: at most {MOST_DOCUMENTS} in one request, got {len(self.documents)}; send several",
                param="documents",
            )
        return RerankRequest(query=self.query, documents=self.texts)


class Ranked(msgspec.Struct, omit_defaults=True):
    """A document's place among those of the request, and how relevant it is."""

    index: int
    relevance_score: float
    document: Document | None = None


class Ranking(msgspec.Struct, kw_only=True):
    """The answer: the most relevant document first."""

    id: str
    object: Literal["list"] = "list"
    model: str
    results: list[Ranked]
    usage: InputUsage

    @classmethod
    def of(cls, stamp: Stamp, body: RerankBody, result: RerankResult) -> "Ranking":
        """Return the scores in order, as many as were asked for; equal ones stay in the order of the documents."""
        texts, scores = body.texts, result.scores
        order = sorted(range(len(scores)), key=lambda place: -scores[place])[: body.top_n]
        shown = (Document(text=texts[place]) if body.return_documents else None for place in order)
        ranked = [Ranked(place, scores[place], document) for place, document in zip(order, shown, strict=True)]
        usage = InputUsage.of(result.usage.prompt_tokens)
        return cls(id=stamp.id, model=stamp.model, results=ranked, usage=usage)


@reads(RerankBody)
async def create(request: Request) -> Response:
    """Sort documents by how well they answer a query."""
    body = await read_json(request, RerankBody)
    call = await open_call(request, body.model, "rerank", body.to_request())
    ((result,),) = await collect(request, [call])
    assert isinstance(result, RerankResult)
    return answer(Ranking.of(Stamp.new("rerank", call.plan.name), body, result), [call])


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint under each of its names."""
    return [Route(path, create, methods=["POST"]) for path in ("/v1/rerank", "/v2/rerank", "/rerank")]
