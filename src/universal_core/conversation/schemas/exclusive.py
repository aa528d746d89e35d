"""Whether no value fits two schemas at once: what ``oneOf`` means, and a grammar can only promise where it is known."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from universal_core.conversation.schemas.pointers import Schema

Resolve = Callable[[str], Schema | None]

_DEPTH = 8
_TYPES = frozenset(("null", "boolean", "number", "string", "array", "object"))
_RANGES = {
    "number": ("minimum", "maximum"),
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}


def all_exclusive(schemas: list[Schema], resolve: Resolve) -> bool:
    """Whether no value fits two of the schemas; False may also mean that it is not known."""
    return all(exclusive(one, other, resolve) for place, one in enumerate(schemas) for other in schemas[place + 1 :])


def exclusive(one: Schema, other: Schema, resolve: Resolve, depth: int = _DEPTH) -> bool:
    """Whether no value fits both schemas; False may also mean that it is not known."""
    if one is False or other is False:
        return True
    if one is True or other is True or not depth:
        return False
    mine, its = _facts(one, resolve), _facts(other, resolve)
    return (
        not mine.types & its.types
        or (mine.values is not None and its.values is not None and not mine.values & its.values)
        or any(_apart(mine, its, kind) for kind in mine.types & its.types if len(mine.types & its.types) == 1)
        or (mine.types & its.types == {"object"} and _other_members(mine, its, resolve, depth))
        or any(all(exclusive(each, other, resolve, depth - 1) for each in some) for some in mine.choices)
        or any(all(exclusive(one, each, resolve, depth - 1) for each in some) for some in its.choices)
    )


@dataclass
class _Facts:
    """What holds for every value that fits a schema."""

    types: frozenset[str] = _TYPES
    values: frozenset[str] | None = None
    required: set[str] = field(default_factory=set)
    members: dict[str, list[Schema]] = field(default_factory=dict)
    closed: list[frozenset[str]] = field(default_factory=list)
    bounds: dict[str, float] = field(default_factory=dict)
    choices: list[list[Schema]] = field(default_factory=list)


def _facts(schema: dict[str, Any], resolve: Resolve) -> _Facts:
    facts = _Facts()
    for part in _parts(schema, resolve, _DEPTH):
        _learn(facts, part)
    return facts


def _parts(schema: dict[str, Any], resolve: Resolve, depth: int) -> Iterator[dict[str, Any]]:
    """Yield a schema and all others that hold wherever it does."""
    yield schema
    target = resolve(schema["$ref"]) if "$ref" in schema else None
    for other in [target, *schema.get("allOf", [])] if depth else []:
        if isinstance(other, dict):
            yield from _parts(other, resolve, depth - 1)


def _learn(facts: _Facts, schema: dict[str, Any]) -> None:
    if "type" in schema:
        facts.types &= _types(schema["type"])
    for values in ([schema["const"]] if "const" in schema else None, schema.get("enum")):
        if values is not None:
            keys = frozenset(map(_key, values))
            facts.values = keys if facts.values is None else facts.values & keys
            facts.types &= frozenset(map(_type_of, values))
    facts.required.update(schema.get("required", ()))
    for name, member in schema.get("properties", {}).items():
        facts.members.setdefault(name, []).append(member)
    if schema.get("additionalProperties") is False and not schema.get("patternProperties"):
        facts.closed.append(frozenset(schema.get("properties", ())))
    for low, high in _RANGES.values():
        if low in schema:
            facts.bounds[low] = max(schema[low], facts.bounds.get(low, schema[low]))
        if high in schema:
            facts.bounds[high] = min(schema[high], facts.bounds.get(high, schema[high]))
    facts.choices += [schema[key] for key in ("anyOf", "oneOf") if schema.get(key)]


def _types(named: str | list[str]) -> frozenset[str]:
    names = [named] if isinstance(named, str) else named
    return frozenset("number" if name == "integer" else name for name in names)


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def _key(value: Any) -> str:
    """Return a text that is the same for values that JSON Schema takes for equal: 1 and 1.0 are, 1 and true are not."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else value


def _apart(mine: _Facts, its: _Facts, kind: str) -> bool:
    """Whether one ends before the other begins."""
    if kind not in _RANGES:
        return False
    low, high = _RANGES[kind]
    endless = float("inf")
    return mine.bounds.get(high, endless) < its.bounds.get(low, -endless) or its.bounds.get(
        high, endless
    ) < mine.bounds.get(low, -endless)


def _other_members(mine: _Facts, its: _Facts, resolve: Resolve, depth: int) -> bool:
    """Whether one needs a member that the other does not have, or both need one with values that exclude each other."""
    if any(mine.required - names for names in its.closed) or any(its.required - names for names in mine.closed):
        return True
    return any(
        exclusive(one, other, resolve, depth - 1)
        for name in mine.required & its.required
        for one in mine.members.get(name, ())
        for other in its.members.get(name, ())
    )
