"""Messages as Anthropic writes them, whole."""

import uuid
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Literal

import msgspec

from universal_core.messages import Finish, Message, Reasoning, Text, ToolCall, Usage

SIGNATURE = "unsigned"
"""What stands for the signature of thoughts, which clients send back with them; nothing here reads it."""

_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


class SaidBlock(msgspec.Struct, tag="text", tag_field="type"):
    """Words of the answer."""

    text: str
    citations: None = None


class ThoughtBlock(msgspec.Struct, tag="thinking", tag_field="type"):
    """Thoughts."""

    thinking: str
    signature: str


class CallBlock(msgspec.Struct, tag="tool_use", tag_field="type"):
    """A call of a tool."""

    id: str
    name: str
    input: dict[str, Any]


Block = SaidBlock | ThoughtBlock | CallBlock
Piece = Text | Reasoning | ToolCall


class OutputDetails(msgspec.Struct, frozen=True):
    """What the answer's tokens were."""

    thinking_tokens: int = 0


class UsageBody(msgspec.Struct, frozen=True, kw_only=True):
    """Anthropic's usage object: what was read from a cache does not count as input."""

    input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    output_tokens: int = 0
    output_tokens_details: OutputDetails = OutputDetails()

    @classmethod
    def of(cls, events: Iterable[Message]) -> "UsageBody":
        """Return what events tell of it; zeros where the model counted nothing."""
        usages = [event for event in events if isinstance(event, Usage)]
        cached = sum(usage.cached_tokens for usage in usages)
        return cls(
            input_tokens=sum(usage.prompt_tokens for usage in usages) - cached,
            cache_read_input_tokens=cached,
            output_tokens=sum(usage.completion_tokens for usage in usages),
            output_tokens_details=OutputDetails(sum(usage.reasoning_tokens for usage in usages)),
        )


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """Why an answer ended, and with which of the stop sequences."""

    stop_reason: str | None = None
    stop_sequence: str | None = None

    @classmethod
    def of(cls, finish: Finish, stops: Sequence[str]) -> "Ending":
        """Return the ending of an answer; only the request's own ``stops`` are told of."""
        if finish.reason == "stop" and finish.stop is not None and finish.stop in stops:
            return cls(stop_reason="stop_sequence", stop_sequence=finish.stop)
        return cls(stop_reason=_REASONS[finish.reason])


class MessageBody(msgspec.Struct, kw_only=True, tag="message", tag_field="type"):
    """The whole answer; where a stream begins it has neither content nor ending."""

    id: str
    model: str
    role: Literal["assistant"] = "assistant"
    content: list[Block] = []
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: UsageBody = UsageBody()

    @classmethod
    def new(cls, model: str) -> "MessageBody":
        """Return one that is yet to be written."""
        return cls(id=f"msg_{uuid.uuid4().hex}", model=model)

    @classmethod
    def of(cls, model: str, events: Sequence[Message], stops: Sequence[str], *, hides_thoughts: bool) -> "MessageBody":
        """Put an answer together from its events."""
        found = cls.new(model)
        pieces = [event for event in events if is_piece(event)]
        found.content = [_block(list(group), hides_thoughts) for _, group in groupby(pieces, block_of)]
        finish = next((event for event in events if isinstance(event, Finish)), Finish(reason="stop"))
        ending = Ending.of(finish, stops)
        found.stop_reason, found.stop_sequence = ending.stop_reason, ending.stop_sequence
        found.usage = UsageBody.of(events)
        return found


def is_piece(event: Message) -> bool:
    """Whether an event belongs to a block of content."""
    return isinstance(event, ToolCall) or (isinstance(event, Text | Reasoning) and bool(event.text))


def block_of(event: Message) -> tuple[str, int]:
    """Return what tells the block of a piece from the one before it."""
    return type(event).__name__, event.position if isinstance(event, ToolCall) else 0


def _block(pieces: Sequence[Message], hides_thoughts: bool) -> Block:
    match pieces[0]:
        case ToolCall():
            calls = [piece for piece in pieces if isinstance(piece, ToolCall)]
            return CallBlock(
                id=next((call.id for call in calls if call.id), ""),
                name=next((call.name for call in calls if call.name), ""),
                input=_input("".join(call.arguments for call in calls)),
            )
        case Reasoning():
            return ThoughtBlock("" if hides_thoughts else _joined(pieces), SIGNATURE)
    return SaidBlock(_joined(pieces))


def _joined(pieces: Sequence[Message]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Text | Reasoning))


def _input(arguments: str) -> dict[str, Any]:
    """Return the arguments of a call; what is no object, as where an answer broke off, stands in one as it is."""
    try:
        found = msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        found = arguments
    return found if isinstance(found, dict) else {"arguments": found}
