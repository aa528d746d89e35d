"""A model's events as the items of a response, and as the events that tell of them while they are written."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from universal_core.messages import Finish, Message, Reasoning, Text, ToolCall, Truncated, Usage
from universal_core.openai.chat_answers import ContentLogprob
from universal_core.openai.response_answers import OutputItem, ResponseBody, ResponseUsage
from universal_core.openai.response_items import (
    FunctionCallItem,
    MessageItem,
    OutputText,
    ReasoningItem,
    ReasoningText,
    SummaryText,
    minted,
    sealed,
)


class Told(NamedTuple):
    """An event without its place in the stream: its type and its fields."""

    type: str
    fields: dict[str, Any]


class Output:
    """Writes the items of a response; of thoughts as a summary, and sealed too, where that is wanted."""

    def __init__(self, response: ResponseBody, *, summary: bool = False, seal: bool = False) -> None:
        self._response = response
        self._items: list[OutputItem] = []
        self._summary = summary
        self._seal = seal
        self._open: type[OutputItem] | None = None
        self._text: list[str] = []
        self._logprobs: list[ContentLogprob] = []
        self._calls: dict[int, int] = {}
        self._finished = False

    def take(self, message: Message) -> Iterator[Told]:
        """Yield what a model's event adds."""
        match message:
            case Text() if message.text or message.logprobs:
                yield from self._say(message)
            case Reasoning() if message.text:
                yield from self._think(message.text)
            case ToolCall():
                yield from self._call(message)
            case Finish():
                yield from self._finish(message.reason)
            case Usage():
                self._response.usage = ResponseUsage.of(message)
            case Truncated():
                self._response.dropped_messages = message.messages

    def read(self, messages: Iterable[Message]) -> None:
        """Take all of an answer, of which nobody is told on the way."""
        for message in messages:
            for _ in self.take(message):
                pass
        for _ in self.end():
            pass

    def end(self) -> Iterator[Told]:
        """Yield what is left when no event comes any more, for a model that tells no end of its own."""
        if not self._finished:
            yield from self._finish("stop")

    def break_off(self) -> None:
        """Leave what was written so far in the response, of which nothing more is told."""
        for _ in self._close("incomplete"):
            pass

    @property
    def _index(self) -> int:
        return len(self._items) - 1

    def _about(self, index: int, **fields: Any) -> dict[str, Any]:
        return {"output_index": index, "item_id": self._items[index].id, **fields}

    def _add(self, item: OutputItem) -> Told:
        self._items.append(item)
        self._response.output = self._items
        self._open = type(item)
        self._text, self._logprobs = [], []
        return Told("response.output_item.added", {"output_index": self._index, "item": item})

    def _say(self, event: Text) -> Iterator[Told]:
        if self._open is not MessageItem:
            yield from self._close("completed")
            yield self._add(MessageItem(id=minted("msg"), status="in_progress", role="assistant", content=[]))
            yield Told(
                "response.content_part.added", self._about(self._index, content_index=0, part=OutputText(text=""))
            )
        logprobs = [ContentLogprob.of(token) for token in event.logprobs]
        self._text.append(event.text)
        self._logprobs += logprobs
        fields = self._about(self._index, content_index=0, delta=event.text, logprobs=logprobs)
        yield Told("response.output_text.delta", fields)

    def _think(self, text: str) -> Iterator[Told]:
        if self._open is not ReasoningItem:
            yield from self._close("completed")
            yield self._add(ReasoningItem(id=minted("rs"), status="in_progress"))
            yield self._thought("part.added", part=self._thoughts(""))
        self._text.append(text)
        yield self._thought("text.delta", delta=text)

    def _call(self, event: ToolCall) -> Iterator[Told]:
        index = self._calls.get(event.position)
        if index is None:
            yield from self._close("completed")
            name, call_id = event.name or "", event.id or minted("call")
            item = FunctionCallItem(id=minted("fc"), status="in_progress", call_id=call_id, name=name, arguments="")
            yield self._add(item)
            index = self._calls[event.position] = self._index
        if event.arguments:
            call = self._items[index]
            assert isinstance(call, FunctionCallItem)
            self._items[index] = msgspec.structs.replace(call, arguments=call.arguments + event.arguments)
            fields = self._about(index, delta=event.arguments)
            yield Told("response.function_call_arguments.delta", fields)

    def _finish(self, reason: str) -> Iterator[Told]:
        self._finished = True
        cut = reason in ("length", "content_filter")
        yield from self._close("incomplete" if cut else "completed")
        if not cut and all(isinstance(item, ReasoningItem) for item in self._items):
            # An answer of no words is an answer: clients look for a message.
            yield from self._say(Text(text=""))
            yield from self._close("completed")
        self._response.finish(reason)

    def _close(self, status: str) -> Iterator[Told]:
        kind, self._open = self._open, None
        if kind is MessageItem:
            yield from self._close_message()
        elif kind is ReasoningItem:
            yield from self._close_thoughts()
        elif kind is FunctionCallItem:
            call = self._items[-1]
            assert isinstance(call, FunctionCallItem)
            fields = self._about(self._index, name=call.name, arguments=call.arguments)
            yield Told("response.function_call_arguments.done", fields)
        if kind is not None:
            item = self._items[-1] = msgspec.structs.replace(self._items[-1], status=status)
            yield Told("response.output_item.done", {"output_index": self._index, "item": item})

    def _close_message(self) -> Iterator[Told]:
        part = OutputText(text="".join(self._text), logprobs=list(self._logprobs))
        self._items[-1] = msgspec.structs.replace(self._items[-1], content=[part])
        fields = self._about(self._index, content_index=0)
        yield Told("response.output_text.done", {**fields, "text": part.text, "logprobs": part.logprobs})
        yield Told("response.content_part.done", {**fields, "part": part})

    def _close_thoughts(self) -> Iterator[Told]:
        text = "".join(self._text)
        part = self._thoughts(text)
        fields: dict[str, Any] = {"summary" if self._summary else "content": [part]}
        if self._seal:
            fields["encrypted_content"] = sealed(text)
        self._items[-1] = msgspec.structs.replace(self._items[-1], **fields)
        yield self._thought("text.done", text=text)
        yield self._thought("part.done", part=part)

    def _thoughts(self, text: str) -> ReasoningText | SummaryText:
        return SummaryText(text=text) if self._summary else ReasoningText(text=text)

    def _thought(self, what: str, **fields: Any) -> Told:
        """Return an event about thoughts, whose names differ for summaries."""
        if self._summary:
            return Told(f"response.reasoning_summary_{what}", self._about(self._index, summary_index=0, **fields))
        kind = "content_" if what.startswith("part") else "reasoning_"
        return Told(f"response.{kind}{what}", self._about(self._index, content_index=0, **fields))
