"""The arguments of calls as parts of a grammar: what a tool's schema asks for, as far as it can be enforced."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from llguidance import LLMatcher

from universal_core.conversation.schemas import followable, relaxed
from universal_core.conversation.tools.format import callable_tools
from universal_core.errors import BadRequest
from universal_core.messages import ChatRequest, Tool

NONE: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
"""The arguments of a tool that takes none."""

ANY: dict[str, Any] = {"type": "object"}

# Of all that are kept the texts take some 10 MB at most.
_LARGEST_KEPT = 20_000


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

    What of a schema cannot be enforced is left out of it. Raises BadRequest where there is such a thing in that of a
    strict tool, and for parameters that are no object.
    """
    return [_callable(place, tool, at) for at, (place, tool) in enumerate(callable_tools(request).items())]


def parts_of(tools: list[Callable]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the parts and params of ``Rules`` for arguments that are written as JSON objects."""
    return {tool.part: {"json_schema": tool.schema} for tool in tools}, {tool.part: tool.param for tool in tools}


def problem_of(schema: Any, param: str = "parameters") -> str | None:
    """Return why answers cannot be kept to a schema, in the words for a client, None where they can."""
    text = json.dumps(schema)
    return (_known_problem if len(text) <= _LARGEST_KEPT else _problem)(text, param)


def enforceable(schema: Any, otherwise: dict[str, Any]) -> Any:
    """Return a schema without what answers cannot be kept to, and ``otherwise`` where that does not help."""
    if problem_of(schema) is None:
        return schema
    if not isinstance(schema, dict):
        return otherwise
    try:
        found = relaxed(schema)
    except BadRequest:
        return otherwise
    return otherwise if problem_of(found) else found


def _callable(place: str, tool: Tool, at: int) -> Callable:
    param = f"{place}.function.parameters"
    schema = _object(tool.parameters, param) if tool.parameters else NONE
    problem = problem_of(schema, param)
    if problem and tool.strict:
        raise BadRequest(f"{problem}; a tool that is not strict may ask for it", param=param)
    return Callable(tool.name, f"arguments_{at}", enforceable(schema, ANY), param, tool.strict)


def _object(parameters: dict[str, Any], param: str) -> dict[str, Any]:
    """Return the schema of parameters as that of an object, which arguments always are."""
    named = parameters.get("type", "object")
    if named != "object" and not (isinstance(named, list) and "object" in named):
        raise BadRequest(f"{param}: expected the schema of an object, found type {json.dumps(named)}", param=param)
    return {**parameters, "type": "object"}


def _problem(schema: str, param: str) -> str | None:
    try:
        known = followable(json.loads(schema), param)
    except BadRequest as error:
        return str(error)
    words = LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(known))
    return f"{param}: {words.strip().splitlines()[0]}" if words else None


_known_problem = lru_cache(maxsize=512)(_problem)
