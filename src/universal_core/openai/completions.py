"""POST /v1/completions."""

from collections.abc import AsyncGenerator, Iterable
from typing import Annotated

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.call import Call
from universal_core.errors import BadRequest
from universal_core.hookspecs import hookimpl
from universal_core.http import (
    DONE,
    EventStream,
    answer,
    collect,
    data,
    frames,
    open_call,
    read_json,
    reads,
    runtime_of,
)
from universal_core.messages import CompletionRequest, Usage
from universal_core.openai.completion_answers import Completion, CompletionChunks, choices_of, ranked
from universal_core.openai.generation import GenerationBody, Stamp, UsageBody
from universal_core.openai.inputs import Inputs, split
from universal_core.runtime import Runtime

DEFAULT_MAX_TOKENS = 16
"""OpenAI's default for this endpoint."""


class CompletionBody(GenerationBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body."""

    prompt: Inputs
    # With echo it is of use to ask for nothing more.
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    echo: bool | None = None
    suffix: str | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    best_of: Annotated[int, Meta(ge=1, le=20)] | None = None

    @property
    def answers(self) -> int:
        """How many answers to each prompt are shown."""
        return self.n or 1

    @property
    def written(self) -> int:
        """How many answers to each prompt are written, of which the best are shown."""
        return self.best_of or self.answers

    def to_requests(self) -> list[CompletionRequest]:
        """Return one request of the domain a prompt. Raises BadRequest, UnsupportedField."""
        self._check()
        given = {"max_tokens": DEFAULT_MAX_TOKENS} | self.sampling()
        if self.logprobs is not None:
            given["logprobs"] = self.logprobs
        if self.written > self.answers:
            given = {"logprobs": 0} | given | {"n": self.written}
        return [
            CompletionRequest(
                prompt=prompt, echo=bool(self.echo), suffix=self.suffix or None, response_format=self.form(), **given
            )
            for prompt in split(self.prompt, "prompt")
        ]

    def _check(self) -> None:
        if self.written < self.answers:
            raise BadRequest(
                f"best_of: expected at least n, which is {self.answers}, found {self.best_of}; raise it or lower n",
                param="best_of",
            )
        if self.stream and self.written > self.answers:
            raise BadRequest(
                "best_of: what is best is known at the end only; with stream it must equal n", param="best_of"
            )


@reads(CompletionBody)
async def create(request: Request) -> Response:
    """Continue one prompt or several, whole or as a stream."""
    body = await read_json(request, CompletionBody)
    calls = [await open_call(request, body.model, "complete", message) for message in body.to_requests()]
    stamp = Stamp.new("cmpl", calls[0].plan.name)
    if body.stream:
        return EventStream(request, _stream(request, body, calls, stamp), calls[0].timings)
    return await _whole(request, body, calls, stamp)


async def _whole(request: Request, body: CompletionBody, calls: list[Call], stamp: Stamp) -> Response:
    n, answers = body.answers, await collect(request, calls)
    completion = Completion.of(stamp, [])
    for position, events in enumerate(answers):
        best = ranked(events, body.written, echo=bool(body.echo)) if body.written > n else range(n)
        completion.choices += choices_of(events, position * n, best[:n], logprobs=body.logprobs is not None)
    completion.usage = UsageBody.of([event for events in answers for event in events if isinstance(event, Usage)])
    return answer(completion, calls)


async def _stream(request: Request, body: CompletionBody, calls: list[Call], stamp: Stamp) -> AsyncGenerator[bytes]:
    """Yield the prompts' answers one prompt after another."""
    keepalive = runtime_of(request).config.server.keepalive
    usages: list[Usage] = []
    for position, call in enumerate(calls):
        first = position * body.answers
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
