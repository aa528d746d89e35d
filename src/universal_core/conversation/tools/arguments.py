"""The arguments of calls as parts of a grammar: what a tool's schema asks for, as far as it can be enforced."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from llguidance import LLMatcher

from universal_core.conversation.schemas import followable
from universal_core.conversation.tools.format import callable_tools
from universal_core.errors import BadRequest
from universal_core.messages import ChatRequest, Tool

NONE: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
"""The arguments of a tool that takes none."""

ANY: dict[str, Any] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Callable:
    """A tool that may be called: its arguments are the part ``part`` of a grammar, which keeps them to ``schema``."""

    name: str
    part: str
    schema: Mapping[str, Any]
    param: str
    strict: bool


def callables(request: ChatRequest) -> list[Callable]:
    """Return the tools that a turn may call, with the schemas that their arguments are kept to.

    Any object will do where a schema cannot be enforced. Raises BadRequest for such a schema of a strict tool.
    """
    return [_callable(place, tool, at) for at, (place, tool) in enumerate(callable_tools(request).items())]


def parts_of(tools: list[Callable]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the parts and params of ``Rules`` for arguments that are written as JSON objects."""
    return {tool.part: {"json_schema": tool.schema} for tool in tools}, {tool.part: tool.param for tool in tools}


def problem_of(schema: Any, param: str = "parameters") -> str | None:
    """Return why answers cannot be kept to a schema, in the words for a client, None where they can."""
    return _problem(json.dumps(schema), param)


def _callable(place: str, tool: Tool, at: int) -> Callable:
    param = f"{place}.function.parameters"
    schema = {"type": "object", **tool.parameters} if tool.parameters else NONE
    problem = problem_of(schema, param)
    if problem and tool.strict:
        raise BadRequest(f"{problem}; a tool that is not strict may ask for it", param=param)
    return Callable(tool.name, f"arguments_{at}", ANY if problem else schema, param, tool.strict)


@lru_cache(maxsize=512)
def _problem(schema: str, param: str) -> str | None:
    try:
        known = followable(json.loads(schema), param)
    except BadRequest as error:
        return str(error)
    words = LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(known))
    return f"{param}: {words.strip().splitlines()[0]}" if words else None
