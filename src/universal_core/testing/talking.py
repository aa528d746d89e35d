"""What the contract asks of models that chat: calls in order, answers in the form that was asked for."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from universal_core.messages import (
    ChatMessage,
    ChatRequest,
    Finish,
    Message,
    Reasoning,
    ResponseFormat,
    Text,
    TextPart,
    Tool,
    ToolCall,
)

_FLAG = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"], "additionalProperties": False}
TOOLS = (Tool(name="switch", description="Switch the light.", parameters=_FLAG), Tool(name="wait", parameters=_FLAG))
CHOICES = ("yes", "no")
ROOM = 128
"""Tokens for an answer: enough for a call, and few enough for the small contexts of tiny models."""


def talking_samples(fields: Collection[str]) -> list[ChatRequest]:
    """Return conversations that ask for what the fields of a claim promise."""
    form = ResponseFormat(type="json_schema", schema={"enum": list(CHOICES)}, strict=True)
    wishes: dict[str, dict[str, Any]] = {
        "response_format": {"response_format": form},
        "tools": {"tools": TOOLS, "tool_choice": "none"},
        "tool_choice": {"tools": TOOLS, "tool_choice": "required"},
        "allowed_tools": {"tools": TOOLS, "tool_choice": "required", "allowed_tools": ("wait",)},
        "parallel_tool_calls": {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False},
        "reasoning_effort": {"reasoning_effort": "none"},
    }
    message = ChatMessage(role="user", content=(TextPart(text="Switch the light on."),))
    return [
        ChatRequest(messages=(message,), temperature=0.0, max_tokens=ROOM, **wish)
        for field, wish in wishes.items()
        if {field, "temperature"} <= set(fields)
    ]


def check_talk(messages: Sequence[Message], request: ChatRequest) -> None:
    """Assert that one answer keeps to its request: its calls, its thoughts, and the form of its text."""
    check_calls(messages)
    reason = next(message.reason for message in messages if isinstance(message, Finish))
    names = [message.name for message in messages if isinstance(message, ToolCall) and message.name]
    allowed = request.allowed_tools or tuple(tool.name for tool in request.tools)
    assert set(names) <= set(allowed), f"{names} were called, and {allowed} may be"
    assert not names or request.tool_choice != "none", "tools were called where none may be"
    assert request.parallel_tool_calls or len(names) <= 1, f"{names} were called, and one at a time may be"
    if reason != "length" and request.tool_choice == "required":
        assert names, "no tool was called where one must be"
    if reason != "length" and request.response_format is not None:
        assert json.loads(said(messages)) in CHOICES, f"{said(messages)!r} has not the form that was asked for"
    thoughts = "".join(message.text for message in messages if isinstance(message, Reasoning))
    assert not thoughts or request.reasoning_effort != "none", f"{thoughts!r} was thought where nothing is to be"


def check_calls(messages: Sequence[Message]) -> None:
    """Assert that each call is told with its id and name first, and that complete ones have JSON as arguments.

    An answer that ends for tool_calls has some.
    """
    arguments: dict[tuple[int, int], str] = {}
    for message in messages:
        if isinstance(message, ToolCall):
            place = (message.index, message.position)
            assert bool(message.id and message.name) == (place not in arguments), f"{message!r}: id and name come first"
            arguments[place] = arguments.get(place, "") + message.arguments
    for index, position in arguments:
        assert (index, position - 1) in arguments or position == 0, "the calls of an answer are numbered from 0"
    for message in messages:
        if isinstance(message, Finish) and message.reason == "tool_calls":
            made = [text for (index, _), text in arguments.items() if index == message.index]
            assert made, "an answer that ends for tool_calls has some"
            assert all(isinstance(json.loads(text), dict) for text in made), "the arguments of a call are an object"


def said(messages: Sequence[Message]) -> str:
    """Return the text of an answer."""
    return "".join(message.text for message in messages if isinstance(message, Text))
