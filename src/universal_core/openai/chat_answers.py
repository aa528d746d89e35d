"""Chat completions as OpenAI writes them: whole, and in chunks."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal

import msgspec

from universal_core.http import DONE, data
from universal_core.messages import (
    Finish,
    Message,
    Reasoning,
    Text,
    TokenAlternative,
    TokenLogprob,
    ToolCall,
    Truncated,
    Usage,
)
from universal_core.openai.generation import Stamp, UsageBody


class TopLogprob(msgspec.Struct, frozen=True):
    """A token that might have been chosen."""

    token: str
    logprob: float
    bytes: list[int] | None

    @classmethod
    def of(cls, token: TokenAlternative) -> "TopLogprob":
        """Return the wire form of a token."""
        return cls(token.token, token.logprob, list(token.data))


class ContentLogprob(msgspec.Struct, frozen=True):
    """A token that was chosen."""

    token: str
    logprob: float | None
    bytes: list[int] | None
    top_logprobs: list[TopLogprob]

    @classmethod
    def of(cls, token: TokenLogprob) -> "ContentLogprob":
        """Return the wire form of a chosen token."""
        alternatives = [TopLogprob.of(other) for other in token.alternatives]
        return cls(token.token, token.logprob, list(token.data), alternatives)


class Logprobs(msgspec.Struct, frozen=True):
    """The logprobs of a choice."""

    content: list[ContentLogprob]
    refusal: None = None

    @classmethod
    def of(cls, tokens: Sequence[TokenLogprob]) -> "Logprobs":
        """Return the wire form of an answer's tokens."""
        return cls([ContentLogprob.of(token) for token in tokens])


class Function(msgspec.Struct, omit_defaults=True):
    """A function that is called."""

    name: str | None = None
    arguments: str = msgspec.field(default_factory=str)


class WireToolCall(msgspec.Struct, omit_defaults=True):
    """A call of a whole answer, or a piece of one in a stream."""

    function: Function
    index: int | None = None
    id: str | None = None
    type: Literal["function"] | None = None


class AssistantMessage(msgspec.Struct):
    """What the assistant said; ``reasoning`` and ``reasoning_content`` are two names of one text."""

    content: str | None
    role: Literal["assistant"] = "assistant"
    refusal: None = None
    annotations: list[Any] = []
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    reasoning: str | msgspec.UnsetType = msgspec.UNSET
    tool_calls: list[WireToolCall] | msgspec.UnsetType = msgspec.UNSET


class Choice(msgspec.Struct):
    """One answer."""

    index: int
    message: AssistantMessage
    finish_reason: str
    logprobs: Logprobs | None = None


class Truncation(msgspec.Struct, frozen=True):
    """What was left out of the conversation, for lack of room."""

    dropped_messages: int

    @classmethod
    def of(cls, events: Sequence[Message]) -> "Truncation | msgspec.UnsetType":
        """Return what events tell of it."""
        dropped = sum(event.messages for event in events if isinstance(event, Truncated))
        return cls(dropped) if dropped else msgspec.UNSET


class ChatCompletion(msgspec.Struct, kw_only=True):
    """The whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: UsageBody | None
    system_fingerprint: None = None
    truncation: Truncation | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(cls, stamp: Stamp, events: Sequence[Message], n: int, *, logprobs: bool) -> "ChatCompletion":
        """Put an answer together from its events."""
        return cls(
            id=stamp.id,
            created=stamp.created,
            model=stamp.model,
            choices=[_choice(index, events, logprobs=logprobs) for index in range(n)],
            usage=UsageBody.of([event for event in events if isinstance(event, Usage)]),
            truncation=Truncation.of(events),
        )


def _choice(index: int, events: Sequence[Message], *, logprobs: bool) -> Choice:
    text, thoughts, tokens, calls, reason = "", "", list[TokenLogprob](), dict[int, WireToolCall](), "stop"
    for event in events:
        if getattr(event, "index", None) != index:
            continue
        match event:
            case Text():
                text += event.text
                tokens += event.logprobs
            case Reasoning():
                thoughts += event.text
            case ToolCall():
                _extend(calls, event)
            case Finish():
                reason = event.reason
    message = AssistantMessage(text if text or not calls else None)
    if thoughts:
        message.reasoning_content = message.reasoning = thoughts
    if calls:
        message.tool_calls = [calls[position] for position in sorted(calls)]
    return Choice(index, message, reason, Logprobs.of(tokens) if logprobs else None)


def _extend(calls: dict[int, WireToolCall], event: ToolCall) -> None:
    call = calls.setdefault(event.position, WireToolCall(Function(), type="function"))
    call.id = event.id or call.id
    call.function.name = event.name or call.function.name
    call.function.arguments += event.arguments


class Delta(msgspec.Struct, omit_defaults=True):
    """What a chunk adds to an answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[WireToolCall] | None = None


class ChunkChoice(msgspec.Struct):
    """A chunk's part of one answer."""

    index: int
    delta: Delta
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class ChatChunk(msgspec.Struct, kw_only=True):
    """One chunk of a stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    system_fingerprint: None = None
    usage: UsageBody | msgspec.UnsetType | None = msgspec.UNSET
    truncation: Truncation | msgspec.UnsetType = msgspec.UNSET


class ChatChunks:
    """Writes an answer's events as chunks."""

    def __init__(self, stamp: Stamp, n: int, *, usage: bool, logprobs: bool) -> None:
        self._stamp = stamp
        self._n = n
        self._wants_usage = usage
        self._logprobs = logprobs
        self._usages: list[Usage] = []
        self._begun = False

    def write(self, batch: Sequence[Message]) -> bytes:
        """Return the chunks for some events; the first ones are preceded by each answer's role."""
        roles = b"" if self._begun else self._roles(Truncation.of(batch))
        self._begun = True
        return roles + b"".join(map(self._event, batch))

    async def around(self, frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """Yield the frames, then what closes a stream: usage where it is wanted, and ``[DONE]``."""
        try:
            async for frame in frames:
                yield frame
        finally:
            await frames.aclose()
        if not self._begun:
            yield self._roles()
        if self._wants_usage:
            yield self._chunk([], UsageBody.of(self._usages))
        yield DONE

    def _roles(self, truncation: Truncation | msgspec.UnsetType = msgspec.UNSET) -> bytes:
        """Return the chunks that open each answer; the first of them tells what was left out."""
        first = [ChunkChoice(index, Delta(role="assistant", content="")) for index in range(self._n)]
        told = [truncation] + [msgspec.UNSET] * (self._n - 1)
        return b"".join(self._chunk([choice], truncation=left) for choice, left in zip(first, told, strict=True))

    def _event(self, event: Message) -> bytes:
        match event:
            case Text():
                logprobs = Logprobs.of(event.logprobs) if self._logprobs else None
                return self._chunk([ChunkChoice(event.index, Delta(content=event.text), None, logprobs)])
            case Finish():
                return self._chunk([ChunkChoice(event.index, Delta(), event.reason)])
            case Reasoning():
                return self._chunk(
                    [ChunkChoice(event.index, Delta(reasoning_content=event.text, reasoning=event.text))]
                )
            case ToolCall():
                kind: Literal["function"] | None = "function" if event.id else None
                call = WireToolCall(Function(event.name, event.arguments), event.position, event.id, kind)
                return self._chunk([ChunkChoice(event.index, Delta(tool_calls=[call]))])
            case Usage():
                self._usages.append(event)
        return b""

    def _chunk(
        self,
        choices: list[ChunkChoice],
        usage: UsageBody | None = None,
        truncation: Truncation | msgspec.UnsetType = msgspec.UNSET,
    ) -> bytes:
        stamp = self._stamp
        chunk = ChatChunk(id=stamp.id, created=stamp.created, model=stamp.model, choices=choices, truncation=truncation)
        if self._wants_usage:
            chunk.usage = usage
        return data(chunk)
