"""POST /v1/completions."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.errors import UnsupportedField
from universal_core.hookspecs import hookimpl
from universal_core.http import DONE, EventStream, answer, collect, data, frames, open_call, read_json, runtime_of
from universal_core.messages import CompletionRequest, Finish, Message, Text, TokenLogprob, Usage
from universal_core.openai.generation import GenerationBody, Stamp, UsageBody
from universal_core.openai.inputs import Inputs, split
from universal_core.router import Call
from universal_core.runtime import Runtime

DEFAULT_MAX_TOKENS = 16
"""OpenAI's default for this endpoint."""


class CompletionBody(GenerationBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body."""

    prompt: Inputs
    echo: bool | None = None
    suffix: str | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    best_of: Annotated[int, Meta(ge=1, le=20)] | None = None

    def to_requests(self) -> list[CompletionRequest]:
        """Return one request of the domain a prompt. Raises BadRequest, UnsupportedField."""
        if self.best_of is not None and self.best_of != (self.n or 1):
            raise UnsupportedField("best_of: not supported by this server; leave it out and use n", param="best_of")
        given = {"max_tokens": DEFAULT_MAX_TOKENS} | self.sampling()
        if self.logprobs is not None:
            given["logprobs"] = self.logprobs
        return [
            CompletionRequest(prompt=prompt, echo=bool(self.echo), suffix=self.suffix or None, response_format=self.form(), **given)
            for prompt in split(self.prompt, "prompt")
        ]


class CompletionLogprobs(msgspec.Struct):
    """The logprobs of a choice, as lists side by side."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]

    @classmethod
    def of(cls, tokens: Sequence[TokenLogprob], offset: int) -> "CompletionLogprobs":
        """Return the wire form of tokens whose text begins at ``offset`` of the answer."""
        offsets = []
        for token in tokens:
            offsets.append(offset)
            offset += len(token.token)
        return cls(
            tokens=[token.token for token in tokens],
            token_logprobs=[token.logprob for token in tokens],
            top_logprobs=[{other.token: other.logprob for other in token.alternatives} for token in tokens],
            text_offset=offsets,
        )


class CompletionChoice(msgspec.Struct):
    """One answer, or a piece of one."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: str | None = None


class Completion(msgspec.Struct, kw_only=True):
    """The whole answer, or a chunk of a stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: UsageBody | msgspec.UnsetType | None = msgspec.UNSET
    system_fingerprint: None = None

    @classmethod
    def of(cls, stamp: Stamp, choices: list[CompletionChoice]) -> "Completion":
        """Return an object with the given choices."""
        return cls(id=stamp.id, created=stamp.created, model=stamp.model, choices=choices)


class CompletionChunks:
    """Writes the events of one prompt as chunks; its answers are numbered from ``first``."""

    def __init__(self, stamp: Stamp, first: int, *, usage: bool, logprobs: bool) -> None:
        self.usages: list[Usage] = []
        self._stamp = stamp
        self._first = first
        self._wants_usage = usage
        self._logprobs = logprobs
        self._lengths: dict[int, int] = {}

    def write(self, batch: Sequence[Message]) -> bytes:
        """Return the chunks for some events."""
        return b"".join(map(self._event, batch))

    def _event(self, event: Message) -> bytes:
        match event:
            case Text():
                offset = self._lengths.get(event.index, 0)
                self._lengths[event.index] = offset + len(event.text)
                logprobs = CompletionLogprobs.of(event.logprobs, offset) if self._logprobs else None
                return self._chunk(CompletionChoice(self._first + event.index, event.text, logprobs))
            case Finish():
                return self._chunk(CompletionChoice(self._first + event.index, "", None, event.reason))
            case Usage():
                self.usages.append(event)
        return b""

    def _chunk(self, choice: CompletionChoice) -> bytes:
        chunk = Completion.of(self._stamp, [choice])
        if self._wants_usage:
            chunk.usage = None
        return data(chunk)


def _choices(events: Sequence[Message], first: int, n: int, *, logprobs: bool) -> list[CompletionChoice]:
    choices = []
    for index in range(n):
        texts = [event for event in events if isinstance(event, Text) and event.index == index]
        reasons = [event.reason for event in events if isinstance(event, Finish) and event.index == index]
        tokens = [token for event in texts for token in event.logprobs]
        choices.append(
            CompletionChoice(
                first + index,
                "".join(event.text for event in texts),
                CompletionLogprobs.of(tokens, 0) if logprobs else None,
                reasons[0] if reasons else "stop",
            )
        )
    return choices


async def create(request: Request) -> Response:
    """Continue one prompt or several, whole or as a stream."""
    body = await read_json(request, CompletionBody)
    calls = [await open_call(request, body.model, "complete", message) for message in body.to_requests()]
    stamp = Stamp.new("cmpl", calls[0].plan.name)
    if body.stream:
        return EventStream(request, _stream(request, body, calls, stamp), calls[0].timings)
    return await _whole(request, body, calls, stamp)


async def _whole(request: Request, body: CompletionBody, calls: list[Call], stamp: Stamp) -> Response:
    n, answers = body.n or 1, await collect(request, calls)
    completion = Completion.of(stamp, [])
    for position, events in enumerate(answers):
        completion.choices += _choices(events, position * n, n, logprobs=body.logprobs is not None)
    completion.usage = UsageBody.of([event for events in answers for event in events if isinstance(event, Usage)])
    return answer(completion, calls)


async def _stream(request: Request, body: CompletionBody, calls: list[Call], stamp: Stamp) -> AsyncGenerator[bytes]:
    """Yield the prompts' answers one prompt after another."""
    keepalive = runtime_of(request).config.server.keepalive
    usages: list[Usage] = []
    for position, call in enumerate(calls):
        first = position * (body.n or 1)
        chunks = CompletionChunks(stamp, first, usage=body.wants_usage, logprobs=body.logprobs is not None)
        events = frames(call, chunks.write, keepalive)
        try:
            async for frame in events:
                yield frame
        finally:
            await events.aclose()
        usages += chunks.usages
    if body.wants_usage:
        last = Completion.of(stamp, [])
        last.usage = UsageBody.of(usages)
        yield data(last)
    yield DONE


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint."""
    return [Route("/v1/completions", create, methods=["POST"])]
