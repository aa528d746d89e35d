"""Requests in one line, and streams of events put together."""

from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import Any

from msgspec import structs

from universal_core import (
    ChatMessage,
    ChatRequest,
    CompletionRequest,
    Event,
    Finish,
    Reasoning,
    Text,
    TextPart,
    TokenLogprob,
    ToolCall,
    Truncated,
    Usage,
)


@dataclass
class Answer:
    """One answer, put together from its events."""

    text: str = ""
    reasoning: str = ""
    calls: dict[int, ToolCall] = field(default_factory=dict)
    reason: str | None = None
    pieces: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)


@dataclass
class Answers:
    """All answers to a request by index, and the usage, which is the last event."""

    by_index: dict[int, Answer]
    usage: Usage
    dropped: int = 0
    """How many messages of a chat were left out."""

    @property
    def text(self) -> str:
        """The text of the first answer."""
        return self.by_index[0].text

    @property
    def reasoning(self) -> str:
        """What was thought before the first answer."""
        return self.by_index[0].reasoning

    @property
    def calls(self) -> list[tuple[str | None, str]]:
        """Name and arguments of the first answer's calls, in their order."""
        found = self.by_index[0].calls
        return [(found[place].name, found[place].arguments) for place in sorted(found)]

    @property
    def reason(self) -> str | None:
        """Why the first answer ended."""
        return self.by_index[0].reason


def alike(one: Answers, other: Answers, tolerance: float = 1e-4) -> bool:
    """Whether two requests were answered the same but for what the company they were in changes.

    That is how much of a prompt was known already, and the last bits of numbers that are added up in another order.
    """
    whole = [structs.replace(found.usage, cached_tokens=0) for found in (one, other)]
    return (
        whole[0] == whole[1]
        and one.by_index.keys() == other.by_index.keys()
        and all(
            (mine.text, mine.reason) == (its.text, its.reason) and near(mine.logprobs, its.logprobs, tolerance)
            for mine, its in ((answer, other.by_index[index]) for index, answer in one.by_index.items())
        )
    )


def near(one: list[TokenLogprob], other: list[TokenLogprob], tolerance: float = 1e-4) -> bool:
    """Whether the same tokens are told, with log-probabilities that are the same within ``tolerance``."""
    return len(one) == len(other) and all(
        mine.data == its.data
        and (mine.logprob == its.logprob or abs((mine.logprob or 0) - (its.logprob or 0)) <= tolerance)
        for mine, its in zip(one, other, strict=True)
    )


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
    dropped = 0
    async for event in events:
        assert usage is None, "nothing may follow the usage"
        if isinstance(event, Truncated):
            assert not found, "what was left out is told before the answers"
            dropped = event.messages
            continue
        if isinstance(event, Usage):
            usage = event
            continue
        assert isinstance(event, Text | Reasoning | ToolCall | Finish)
        answer = found.setdefault(event.index, Answer())
        assert answer.reason is None, "nothing may follow the end of an answer"
        if isinstance(event, Finish):
            answer.reason = event.reason
        elif isinstance(event, Reasoning):
            answer.reasoning += event.text
        elif isinstance(event, ToolCall):
            answer.calls[event.position] = _longer(answer.calls.get(event.position), event)
        else:
            answer.text += event.text
            answer.pieces.append(event.text)
            answer.logprobs.extend(event.logprobs)
    assert usage is not None, "the usage must come last"
    assert all(answer.reason for answer in found.values()), "every answer must end"
    return Answers(found, usage, dropped)


def _longer(call: ToolCall | None, part: ToolCall) -> ToolCall:
    """Return a call with a further part: the first part alone has a name and an id."""
    if call is None:
        assert part.name is not None
        assert part.id is not None
        return part
    assert (part.name, part.id) == (None, None)
    return structs.replace(call, arguments=call.arguments + part.arguments)
