"""POST /v1/classify: labels for texts, and for the names and other things in them."""

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
from universal_core.messages import ClassifyRequest, ClassifyResult, ClassifyTokensRequest, ClassifyTokensResult, Span
from universal_core.openai.embeddings import MOST_INPUTS
from universal_core.openai.inputs import InputUsage
from universal_core.openai.labels import Labels, Positive, Predictions, given, labels_of, template_of
from universal_core.runtime import Runtime

MOST_PAIRS = 16384
"""Inputs times labels in one request: each label of the request is read with each input."""

_EXAMPLE = "This text is about {}."
_OF_LABELS = ("hypothesis_template", "multi_label")
_OF_TEXTS = ("top_k", "candidate_labels", *_OF_LABELS)


class InputText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An input as an object: a text, and a second one that is read together with it."""

    text: str
    text_pair: str | None = None

    @property
    def texts(self) -> str | tuple[str, str]:
        """The text, or both."""
        return self.text if self.text_pair is None else (self.text, self.text_pair)


class ClassifyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body."""

    input: str | InputText | Annotated[list[str | InputText], Meta(min_length=1)]
    model: str | None = None
    task: Literal["text-classification", "token-classification"] | None = None
    top_k: Positive | None = None
    candidate_labels: Labels | None = None
    hypothesis_template: str | None = None
    multi_label: bool | None = None
    user: str | None = None

    @property
    def texts(self) -> tuple[str | tuple[str, str], ...]:
        """The inputs in order. Raises BadRequest."""
        items = self.input if isinstance(self.input, list) else [self.input]
        if len(items) > MOST_INPUTS:
            raise BadRequest(
                f"input: at most {MOST_INPUTS} in one request, got {len(items)}; send several", param="input"
            )
        return tuple(item if isinstance(item, str) else item.texts for item in items)

    def to_request(self) -> ClassifyRequest | ClassifyTokensRequest:
        """Return the domain's request. Raises BadRequest."""
        return self._of_tokens() if self.task == "token-classification" else self._of_texts()

    def _of_tokens(self) -> ClassifyTokensRequest:
        self._refuse(_OF_TEXTS, "not for token-classification; leave it out")
        texts = []
        for at, item in enumerate(self.texts):
            if not isinstance(item, str):
                message = f"input[{at}].text_pair: token-classification reads single texts; leave it out"
                raise BadRequest(message, param=f"input[{at}].text_pair")
            texts.append(item)
        return ClassifyTokensRequest(input=tuple(texts))

    def _of_texts(self) -> ClassifyRequest:
        if self.candidate_labels is None:
            self._refuse(_OF_LABELS, "only together with candidate_labels; leave it out")
        labels, texts = labels_of(self.candidate_labels), self.texts
        if labels:
            _check_labelled(texts, labels)
        return ClassifyRequest(
            input=texts,
            labels=labels,
            **given(
                top_k=self.top_k,
                hypothesis_template=template_of(self.hypothesis_template, _EXAMPLE),
                multi_label=self.multi_label,
            ),
        )

    def _refuse(self, names: Iterable[str], why: str) -> None:
        """Raise BadRequest for the first of these fields that is set."""
        for name in names:
            if getattr(self, name) is not None:
                raise BadRequest(f"{name}: {why}", param=name)


def _check_labelled(texts: tuple[str | tuple[str, str], ...], labels: tuple[str, ...]) -> None:
    """Refuse pairs, whose second text takes the place of a label, and more work than a request may ask for."""
    pair = next((at for at, item in enumerate(texts) if not isinstance(item, str)), None)
    if pair is not None:
        message = f"input[{pair}].text_pair: not together with candidate_labels, which are read beside each text"
        raise BadRequest(message, param=f"input[{pair}].text_pair")
    if len(texts) * len(labels) > MOST_PAIRS:
        raise BadRequest(
            f"candidate_labels: {len(labels)} labels for {len(texts)} inputs are {len(texts) * len(labels)} pairs to "
            f"read, and at most {MOST_PAIRS} are read for one request; send several",
            param="candidate_labels",
        )


class Found(msgspec.Struct, frozen=True):
    """A piece of an input, with its place in it."""

    label: str
    score: float
    text: str
    start: int
    end: int


class FoundIn(msgspec.Struct, frozen=True):
    """What was found in one input."""

    index: int
    spans: list[Found]


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """The answer where names are looked for."""

    object: Literal["list"] = "list"
    data: list[FoundIn]
    model: str
    usage: InputUsage

    @classmethod
    def of(cls, model: str, request: ClassifyTokensRequest, result: ClassifyTokensResult) -> "Findings":
        """Return what was found, with the words of the texts themselves."""
        rows = enumerate(zip(request.input, result.spans, strict=True))
        data = [FoundIn(at, [_found(text, span) for span in spans]) for at, (text, spans) in rows]
        return cls(data=data, model=model, usage=InputUsage.of(result.usage.prompt_tokens))


def _found(text: str, span: Span) -> Found:
    return Found(span.label, span.score, text[span.start : span.end], span.start, span.end)


@reads(ClassifyBody)
async def create(request: Request) -> Response:
    """Label texts, or find things in them."""
    body = await read_json(request, ClassifyBody)
    asked = body.to_request()
    task = "classify_tokens" if isinstance(asked, ClassifyTokensRequest) else "classify"
    call = await open_call(request, body.model, task, asked)
    ((result,),) = await collect(request, [call])
    name = call.plan.name
    if isinstance(asked, ClassifyTokensRequest):
        assert isinstance(result, ClassifyTokensResult)
        return answer(Findings.of(name, asked, result), [call])
    assert isinstance(result, ClassifyResult)
    return answer(Predictions.of(name, result.predictions, result.usage.prompt_tokens), [call])


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint."""
    return [Route("/v1/classify", create, methods=["POST"])]
