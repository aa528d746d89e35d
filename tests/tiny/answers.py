"""Requests in one line, and streams of events put together."""

from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import Any

from universal_core import (
    ChatMessage,
    ChatRequest,
    CompletionRequest,
    Event,
    Finish,
    Text,
    TextPart,
    TokenLogprob,
    Usage,
)


@dataclass
class Answer:
    """One answer, put together from its events."""

    text: str = ""
    reason: str | None = None
    pieces: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)


@dataclass
class Answers:
    """All answers to a request by index, and the usage, which is the last event."""

    by_index: dict[int, Answer]
    usage: Usage

    @property
    def text(self) -> str:
        """The text of the first answer."""
        return self.by_index[0].text

    @property
    def reason(self) -> str | None:
        """Why the first answer ended."""
        return self.by_index[0].reason


def chat_request(*turns: str, **fields: Any) -> ChatRequest:
    """Return a conversation whose turns are the user's and the assistant's by turns."""
    roles = ("user", "assistant")
    messages = tuple(
        ChatMessage(role=roles[place % 2], content=(TextPart(text=turn),)) for place, turn in enumerate(turns)
    )
    return ChatRequest(messages=messages, **fields)


def completion(prompt: str | tuple[int, ...], **fields: Any) -> CompletionRequest:
    """Return a completion request that takes the best token always, unless the fields say otherwise."""
    return CompletionRequest(prompt=prompt, **{"temperature": 0.0, **fields})


async def gather(events: AsyncIterable[Event]) -> Answers:
    """Read a stream to its end and check its order: one Finish per answer, nothing after it, one Usage last."""
    found: dict[int, Answer] = {}
    usage: Usage | None = None
    async for event in events:
        assert usage is None, "nothing may follow the usage"
        if isinstance(event, Usage):
            usage = event
            continue
        assert isinstance(event, Text | Finish)
        answer = found.setdefault(event.index, Answer())
        assert answer.reason is None, "nothing may follow the end of an answer"
        if isinstance(event, Finish):
            answer.reason = event.reason
        else:
            answer.text += event.text
            answer.pieces.append(event.text)
            answer.logprobs.extend(event.logprobs)
    assert usage is not None, "the usage must come last"
    assert all(answer.reason for answer in found.values()), "every answer must end"
    return Answers(found, usage)
