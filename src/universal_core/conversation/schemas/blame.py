"""Where in a schema the fault lies that llguidance found in the whole."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from universal_core.conversation.schemas.pointers import Schema, below

_MOST = 200
_DEFINITIONS = ("$defs", "definitions")


def blame(schema: dict[str, Any], problem_of: Callable[[Schema], str | None]) -> str | None:
    """Return what ``problem_of`` finds wrong in the innermost part of a schema that is wrong by itself, and where.

    None where the schema is right.
    """
    shared = {name: schema[name] for name in _DEFINITIONS if name in schema}
    place, part, problem, tried = "#", schema, problem_of(schema), 0
    if problem is None:
        return None
    while tried < _MOST:
        for child, where in _children(part, place):
            tried += 1
            found = problem_of(shared | child) if _stands_alone(child) else None
            if found is not None:
                place, part, problem = where, child, found
                break
        else:
            break
    words = ", ".join(name for name in part if name not in (*_DEFINITIONS, "x-guidance"))
    return f"at {place}: {problem} (keywords there: {words})"


def _children(schema: dict[str, Any], place: str) -> Iterator[tuple[dict[str, Any], str]]:
    for name, found in schema.items():
        if name in ("properties", "patternProperties", *_DEFINITIONS) and isinstance(found, dict):
            yield from ((each, below(place, name, key)) for key, each in found.items() if isinstance(each, dict))
        elif name in ("allOf", "anyOf", "oneOf", "prefixItems", "items") and isinstance(found, list):
            yield from ((each, below(place, name, key)) for key, each in enumerate(found) if isinstance(each, dict))
        elif name in ("items", "additionalItems", "additionalProperties") and isinstance(found, dict):
            yield found, below(place, name)


def _stands_alone(schema: dict[str, Any]) -> bool:
    """Whether all references of a part lead to definitions, which it can be given."""
    count = json.dumps(schema).count('"$ref": ')
    return count == sum(json.dumps(schema).count(f'"$ref": "#/{name}/') for name in _DEFINITIONS)
