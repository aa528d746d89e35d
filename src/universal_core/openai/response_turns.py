"""The items of /v1/responses as a conversation's turns: what an assistant thought, said and called is one turn."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from universal_core.errors import BadRequest
from universal_core.messages import ChatMessage, TextPart, ToolInvocation
from universal_core.openai.response_items import (
    FunctionCallItem,
    FunctionCallOutputItem,
    MessageItem,
    Placed,
    ReasoningItem,
    parts_of,
)
from universal_core.openai.turns import NO_MEDIA, Media

_TURN = re.compile(r"messages\[(\d+)\](?:\.content(\[\d+\](?:\.\w+)?))?.*")
_TOOL = re.compile(r"(tools\[\d+\])\.function\b")
_NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "logprobs": "include",
    "allowed_tools": "tool_choice",
}


class Turns:
    """Puts turns together from items, and tells which turn came from where."""

    def __init__(self, instructions: str | None, items: Iterable[Placed], media: Media = NO_MEDIA) -> None:
        """Read all items.

        Raises BadRequest where there is nothing to answer, for a call without its output and an output without its
        call, and for what cannot be a part.
        """
        self.messages: list[ChatMessage] = []
        self._places: list[str] = []
        self._calls: dict[str, str] = {}
        self._answered: set[str] = set()
        if instructions is not None:
            self._begin("instructions", ChatMessage(role="system", content=(TextPart(text=instructions),)))
        for place, item in items:
            match item:
                case MessageItem():
                    self._message(place, item, media)
                case ReasoningItem():
                    self._think(place, item.thoughts(place))
                case FunctionCallItem():
                    self._call(place, item)
                case FunctionCallOutputItem():
                    self._output(place, item, media)
        self._check()

    def named(self, param: str) -> str:
        """Return the client's name of one of a ChatRequest's fields."""
        if found := _TURN.fullmatch(param):
            place = self._places[int(found[1])]
            field = "output" if self.messages[int(found[1])].role == "tool" else "content"
            return f"{place}.{field}{found[2]}" if found[2] else place
        return _NAMES.get(param) or _TOOL.sub(r"\1", param)

    def _check(self) -> None:
        if not self.messages:
            raise BadRequest("input: expected at least one item that says something", param="input")
        for call_id, place in self._calls.items():
            if call_id not in self._answered:
                param = f"{place}.call_id"
                raise BadRequest(
                    f"{param}: no function_call_output after it has the call_id {call_id}; send what the call gave, or "
                    "why it was not made",
                    param=param,
                )

    def _message(self, place: str, item: MessageItem, media: Media) -> None:
        parts = parts_of(item.content, f"{place}.content", media)
        last = self._assistant()
        if item.role == "assistant" and last and not last.content and not last.tool_calls:
            self._extend(content=parts)
        else:
            self._begin(place, ChatMessage(role=item.role, content=parts))

    def _think(self, place: str, thoughts: str) -> None:
        last = self._assistant()
        if thoughts and last and last.reasoning and not last.content and not last.tool_calls:
            self._extend(reasoning=f"{last.reasoning}\n\n{thoughts}")
        elif thoughts:
            self._begin(place, ChatMessage(role="assistant", reasoning=thoughts))

    def _call(self, place: str, item: FunctionCallItem) -> None:
        self._calls[item.call_id] = place
        call = ToolInvocation(id=item.call_id, name=item.name, arguments=item.arguments)
        last = self._assistant()
        if last:
            self._extend(tool_calls=(*last.tool_calls, call))
        else:
            self._begin(place, ChatMessage(role="assistant", tool_calls=(call,)))

    def _output(self, place: str, item: FunctionCallOutputItem, media: Media) -> None:
        if item.call_id not in self._calls:
            param = f"{place}.call_id"
            raise BadRequest(
                f"{param}: no function_call before it has the call_id {item.call_id}; send that item too, or the "
                "previous_response_id of the response that has it",
                param=param,
            )
        self._answered.add(item.call_id)
        parts = parts_of(item.output, f"{place}.output", media)
        self._begin(place, ChatMessage(role="tool", content=parts, name=item.name, tool_call_id=item.call_id))

    def _assistant(self) -> ChatMessage | None:
        return self.messages[-1] if self.messages and self.messages[-1].role == "assistant" else None

    def _begin(self, place: str, message: ChatMessage) -> None:
        self._places.append(place)
        self.messages.append(message)

    def _extend(self, **fields: Any) -> None:
        self.messages[-1] = msgspec.structs.replace(self.messages[-1], **fields)
