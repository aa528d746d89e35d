"""Messages and tools as chat templates know them: the dicts of HuggingFace's chat format."""

import json
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from universal_core.messages import AudioPart, ChatMessage, ImagePart, Part, Role, TextPart, Tool, ToolInvocation

_KINDS: dict[type[Part], str] = {TextPart: "text", ImagePart: "image", AudioPart: "audio"}


def turns_of(messages: Sequence[ChatMessage], *, as_parts: bool = False, literal: bool = False) -> list[dict[str, Any]]:
    """Return the turns of a conversation.

    Content is a text, or a list of parts where a message has a picture or a recording, or ``as_parts`` asks for it.
    The arguments of calls are objects, and a turn of calls alone has no content; where ``literal`` is true, arguments
    are JSON text and that content is None, as in OpenAI's API. The turn of a tool bears the name of what was called.
    """
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    return [turn_of(message, names, as_parts=as_parts, literal=literal) for message in messages]


def by_system(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return a conversation in which developers are the system, whose new name they are."""
    return [replace(message, role="system") if message.role == "developer" else message for message in messages]


def with_one_system(messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
    """Return a conversation that begins with one turn of system or developer where it begins with several."""
    count = next((at for at, one in enumerate(messages) if one.role not in ("system", "developer")), len(messages))
    if count < 2:
        return messages
    parts = (part for message in messages[:count] for part in (TextPart(text="\n\n"), *message.content))
    role: Role = "developer" if any(one.role == "developer" for one in messages[:count]) else "system"
    return [ChatMessage(role=role, content=tuple(parts)[1:]), *messages[count:]]


def turn_of(message: ChatMessage, names: dict[str, str], *, as_parts: bool, literal: bool) -> dict[str, Any]:
    """Return one turn; ``names`` tells the function of each call by its id."""
    turn: dict[str, Any] = {"role": message.role}
    if message.content or not message.tool_calls:
        turn["content"] = _content_of(message, as_parts=as_parts)
    elif literal:
        turn["content"] = None
    if message.tool_calls:
        turn["tool_calls"] = [_call_of(call, literal=literal) for call in message.tool_calls]
    if message.tool_call_id is not None:
        turn["tool_call_id"] = message.tool_call_id
    name = message.name or (names.get(message.tool_call_id or "") if message.role == "tool" else None)
    if name is not None:
        turn["name"] = name
    if message.reasoning is None:
        return turn
    # Templates read one name or the other; those that write the whole turn see the order that transformers gives it.
    return {"thinking": message.reasoning, **turn, "reasoning_content": message.reasoning}


def tool_of(tool: Tool) -> dict[str, Any]:
    """Return a tool as templates list it; one without parameters takes none."""
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def _content_of(message: ChatMessage, *, as_parts: bool) -> str | list[dict[str, str]]:
    if as_parts or any(not isinstance(part, TextPart) for part in message.content):
        return [_part_of(part) for part in message.content]
    return message.text


def _part_of(part: Part) -> dict[str, str]:
    # What a picture shows is no business of a template: it writes the place where the model will look at it.
    found = {"type": _KINDS[type(part)]}
    return found | {"text": part.text} if isinstance(part, TextPart) else found


def _call_of(call: ToolInvocation, *, literal: bool) -> dict[str, Any]:
    arguments = call.arguments if literal else _parsed(call.arguments)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _parsed(arguments: str) -> Any:
    """Return arguments as the object that they write; what is none, as it is: a model may have written it."""
    try:
        found = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return arguments
    return found if isinstance(found, dict) else arguments
