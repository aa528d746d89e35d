"""Messages as Anthropic writes them, event by event."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from universal_core.anthropic.answers import (
    SIGNATURE,
    Block,
    CallBlock,
    Ending,
    MessageBody,
    SaidBlock,
    ThoughtBlock,
    UsageBody,
    block_of,
    is_piece,
)
from universal_core.http import comment, data
from universal_core.messages import Finish, Message, Reasoning, Text, ToolCall


def ping(status: str) -> bytes:
    """Return what keeps a connection open, with a comment that says what is happening."""
    return comment(status).rstrip(b"\n") + b"\n" + event("ping")


def event(kind: str, **fields: Any) -> bytes:
    """Return an event of the stream."""
    return data({"type": kind, **fields}, kind)


class MessageEvents:
    """Writes an answer's events as Anthropic's: one block of content after the other."""

    def __init__(self, message: MessageBody, stops: Sequence[str], *, hides_thoughts: bool) -> None:
        self._message = message
        self._stops = stops
        self._hides = hides_thoughts
        self._begun = False
        self._index = -1
        self._open: tuple[str, int] | None = None
        self._finish = Finish(reason="stop")
        self._told: list[Message] = []

    def write(self, batch: Sequence[Message]) -> bytes:
        """Return what some events bring."""
        return self._start() + b"".join(map(self._event, batch))

    async def around(self, frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """Yield the frames, then what closes a message: why it ended, and its usage, which is known only now."""
        try:
            async for frame in frames:
                yield frame
        finally:
            await frames.aclose()
        ending = Ending.of(self._finish, self._stops)
        yield self._start() + self._close()
        yield event("message_delta", delta=ending, usage=UsageBody.of(self._told))
        yield event("message_stop")

    def _start(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return event("message_start", message=self._message)

    def _event(self, found: Message) -> bytes:
        if is_piece(found):
            return self._enter(found) + self._delta(found)
        if isinstance(found, Finish):
            self._finish = found
        self._told.append(found)
        return b""

    def _enter(self, piece: Message) -> bytes:
        """Return what opens the block of a piece, unless it is open."""
        if block_of(piece) == self._open:
            return b""
        closed = self._close()
        self._open = block_of(piece)
        self._index += 1
        return closed + event("content_block_start", index=self._index, content_block=_empty(piece))

    def _delta(self, piece: Message) -> bytes:
        match piece:
            case Text():
                return self._change("text_delta", text=piece.text)
            case Reasoning() if not self._hides:
                return self._change("thinking_delta", thinking=piece.text)
            case ToolCall() if piece.arguments:
                return self._change("input_json_delta", partial_json=piece.arguments)
        return b""

    def _close(self) -> bytes:
        """Return what closes the open block."""
        if self._open is None:
            return b""
        thought = self._open[0] == Reasoning.__name__
        self._open = None
        signed = self._change("signature_delta", signature=SIGNATURE) if thought else b""
        return signed + event("content_block_stop", index=self._index)

    def _change(self, kind: str, **fields: str) -> bytes:
        return event("content_block_delta", index=self._index, delta={"type": kind, **fields})


def _empty(piece: Message) -> Block:
    match piece:
        case ToolCall():
            return CallBlock(id=piece.id or "", name=piece.name or "", input={})
        case Reasoning():
            return ThoughtBlock("", "")
    return SaidBlock("")
