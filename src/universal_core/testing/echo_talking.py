"""How the echo backend talks: it says what it is told to say, thinks what it is told to think, and calls what it must.

In the last turn of the user or of a tool, a line ``think WORDS`` is thought, a line ``call NAME {JSON}`` is a call
where the request has such a tool, and all else is said, word by word. A word counts as a token, and so does a call.
"""

import asyncio
import os
import re
import signal
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from universal_core import (
    ChatMessage,
    ChatRequest,
    ContextLengthExceeded,
    Event,
    Finish,
    FinishReason,
    Reasoning,
    ResponseFormat,
    Text,
    TextPart,
    ToolCall,
    Truncated,
    UnsupportedField,
    Usage,
)

TALKING_FIELDS = (
    *("messages", "response_format", "truncation", "tools", "tool_choice", "allowed_tools", "parallel_tool_calls"),
    *("reasoning_effort", "thinking_budget"),
)
FEW_MESSAGES = 4
"""How many messages a model has room for whose name has the word short."""
MANY = 10**6

Step = Sequence[Event]
"""The events of one token."""

_STEP = re.compile(r"^think (?P<thought>.*)\n?|^call (?P<name>\S+) (?P<arguments>\{.*\})[ ]*\n?|\S+\s*", re.MULTILINE)
_EXAMPLES: dict[str, Any] = {"integer": 1, "number": 0.5, "boolean": True, "null": None, "array": []}


class EchoTalker:
    """The task chat; ``_delay`` is the seconds between two words, ``_room`` how many messages it can read."""

    _delay: float
    _room: int

    async def chat(self, request: ChatRequest) -> AsyncIterator[Event]:
        """Repeat the last message; an async generator, so that many run at once."""
        turns = request.messages
        if len(turns) > self._room:
            turns = shortened(turns, self._room, request)
            yield Truncated(messages=len(request.messages) - len(turns))
        written = Usage(prompt_tokens=len(turns))
        reason: FinishReason = "stop"
        for events in steps(request):
            if written.completion_tokens == request.max_tokens:
                reason = "length"
                break
            # Even without a delay the loop must turn, or no other job gets a turn.
            await asyncio.sleep(self._delay)
            for event in events:
                yield event
            written = counted(written, events)
            reason = "tool_calls" if isinstance(events[0], ToolCall) else reason
        yield Finish(reason=reason)
        yield written


def words_of(text: str) -> Iterator[str]:
    """Return the words with the spaces after them; ``repeat N`` stands for N numbers."""
    if text.startswith("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    if text.startswith("fail"):
        raise RuntimeError("asked to fail")
    command, _, count = text.partition(" ")
    if command == "repeat":
        return (f"{number} " for number in range(int(count)))
    return iter(re.findall(r"\S+\s*", text))


def shortened(turns: tuple[ChatMessage, ...], room: int, request: ChatRequest) -> tuple[ChatMessage, ...]:
    """Return what is left of a conversation without its oldest turns; raise where they may not be left out."""
    if request.truncation is None:
        raise ContextLengthExceeded(
            f"This model has room for {room} messages, not for {len(turns)}. Send fewer, or truncation auto.",
            param="messages",
        )
    first = [turn for turn in turns if turn.role in ("system", "developer")]
    others = [turn for turn in turns if turn not in first]
    return (*first, *others[-max(1, room - len(first)) :])


def steps(request: ChatRequest) -> Iterable[Step]:
    """Return what is written, a list of events for each token of it."""
    text = _told(request)
    if text.startswith(("die", "fail", "repeat")):
        found: Iterable[Step] = _said(words_of(text))
    else:
        found = _Turn(request).steps(text)
    return found if request.response_format is None else _with_form(list(found), request.response_format)


class _Turn:
    """One turn that is being written, with the calls made so far."""

    def __init__(self, request: ChatRequest) -> None:
        names = request.allowed_tools or tuple(tool.name for tool in request.tools)
        self._names = () if request.tool_choice == "none" else names
        self._required = request.tool_choice == "required"
        self._most = MANY if request.parallel_tool_calls else 1
        self._calls = 0
        self._thoughts = _thoughts_of(request)

    def steps(self, text: str) -> Iterator[Step]:
        """Yield what a text commands."""
        found = list(_STEP.finditer(text))
        commanded = any(self._may_call(match) for match in found)
        for match in found:
            if match["thought"] is not None:
                words = islice(re.findall(r"\S+\s*", match["thought"]), max(0, self._thoughts))
                yield from ([self._thought(word)] for word in words)
            elif self._may_call(match):
                yield self._call(match["name"], match["arguments"])
            elif commanded or not self._required:
                yield from _said(re.findall(r"\S+\s*", match[0]))
        if self._required and not commanded:
            yield self._call(self._names[0], "{}")

    def _thought(self, word: str) -> Event:
        self._thoughts -= 1
        return Reasoning(text=word)

    def _may_call(self, match: re.Match[str]) -> bool:
        known = match["name"] in self._names and self._calls < self._most
        return known and _is_json(match["arguments"])

    def _call(self, name: str, arguments: str) -> Step:
        position, self._calls, half = self._calls, self._calls + 1, len(arguments) // 2
        return [
            ToolCall(position=position, id=f"call_{uuid.uuid4().hex}", name=name),
            ToolCall(position=position, arguments=arguments[:half]),
            ToolCall(position=position, arguments=arguments[half:]),
        ]


def formed(form: ResponseFormat, text: str) -> str:
    """Return JSON: the text in an object, or the least that a schema allows. Raises UnsupportedField otherwise."""
    if form.type not in ("json_object", "json_schema"):
        raise UnsupportedField(
            f"{form.param}: the echo backend writes JSON, but follows no {form.type}", param=form.param
        )
    value = example(form.schema, text) if form.type == "json_schema" else {"echo": text}
    return msgspec.json.encode(value).decode()


def example(schema: Any, text: str) -> Any:
    """Return a value that plain schemas allow: of constants, enumerations, types, and objects of these."""
    if not isinstance(schema, dict):
        return {"echo": text}
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "string":
        return text
    if schema.get("type") in _EXAMPLES:
        return _EXAMPLES[schema["type"]]
    return {name: example(inner, text) for name, inner in schema.get("properties", {}).items()}


def _with_form(found: list[Step], form: ResponseFormat) -> list[Step]:
    """Return what is written with the text in a form, unless it ends with a call."""
    if found and isinstance(found[-1][0], ToolCall):
        return found
    texts = [events[0].text for events in found if isinstance(events[0], Text)]
    thoughts = [events for events in found if not isinstance(events[0], Text)]
    return [*thoughts, *_said(words_of(formed(form, "".join(texts))))]


def _said(words: Iterable[str]) -> Iterator[Step]:
    return ([Text(text=word)] for word in words)


def counted(usage: Usage, events: Step) -> Usage:
    """Return the usage with one token more."""
    thoughts = usage.reasoning_tokens + isinstance(events[0], Reasoning)
    return msgspec.structs.replace(usage, completion_tokens=usage.completion_tokens + 1, reasoning_tokens=thoughts)


def _told(request: ChatRequest) -> str:
    """Return what to say: the last turn of a user or a tool, with the sizes of its pictures and recordings."""
    asked = [turn for turn in request.messages if turn.role in ("user", "tool")]
    last = asked[-1] if asked else request.messages[-1]
    return last.text + "".join(f" {len(part.data)}" for part in last.content if not isinstance(part, TextPart))


def _thoughts_of(request: ChatRequest) -> int:
    """Return how many words may be thought."""
    if request.reasoning_effort == "none":
        return 0
    return MANY if request.thinking_budget is None else request.thinking_budget


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True
