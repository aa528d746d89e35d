"""The parameters of tools one by one, for formats that do not write them as one JSON object."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from universal_core.conversation.tools.arguments import Callable, enforceable
from universal_core.errors import BadRequest

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}
_SHAPES = ("properties", "required", "type", "additionalProperties")
_WORDS = ("title", "description", "default", "examples", "$defs", "definitions", "$schema", "$id", "strict", "$comment")
_PYTHON = {"True": True, "False": False, "None": None}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a tool; ``key`` is None for those that the tool's schema does not name."""

    key: str | None
    schema: Any
    required: bool

    @property
    def types(self) -> frozenset[str]:
        """The types that a value may have."""
        return _types(self.schema, self.schema)

    @property
    def choices(self) -> tuple[str, ...] | None:
        """The values, where they are a choice among strings."""
        schema = self.schema if isinstance(self.schema, dict) else {}
        options = schema.get("enum", [schema["const"]] if "const" in schema else None)
        plain = not set(schema) - {"enum", "const", "type", *_WORDS}
        fits = options and plain and all(isinstance(one, str) for one in options)
        return tuple(options) if fits and options else None

    @property
    def is_text(self) -> bool:
        """Whether a value is written as it is, without quotes: it is any string, or of simple types beside."""
        return "string" in self.types and not _constraints(self.schema)

    def value_of(self, text: str) -> Any:
        """Return what a value that was written without regard to JSON says."""
        types = self.types
        if types == {"string"} and (self.is_text or self.choices):
            return text
        found, is_json = _read(text.strip())
        if is_json and not (isinstance(found, str) and (self.is_text or self.choices)) and _fits(found, types):
            return found
        return text if "string" in types or not is_json else found


def parameters_of(tool: Callable) -> list[Parameter]:
    """Return a tool's parameters in their order.

    What cannot be enforced of a parameter's schema is left out of it. Raises BadRequest where a strict tool's schema
    asks for more than each parameter alone.
    """
    schema = tool.schema
    beyond = sorted(set(schema) - {*_SHAPES, *_WORDS})
    if beyond and tool.strict:
        raise BadRequest(
            f"{tool.param}: this model writes parameters one by one, so that {beyond[0]} of a strict tool cannot be "
            "enforced; describe the parameters with properties and required alone",
            param=tool.param,
        )
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    properties = schema.get("properties", {})
    required = schema.get("required", ())
    named = {**properties, **{key: {} for key in required if key not in properties}}
    found = [Parameter(key, _enforced(one, shared), key in required) for key, one in named.items()]
    others = schema.get("additionalProperties", {})
    if not found and others is not False:
        found.append(Parameter(None, _enforced({} if others is True else others, shared), False))
    return found


def _enforced(schema: Any, shared: Mapping[str, Any]) -> Any:
    whole = {**shared, **schema} if isinstance(schema, dict) else schema
    return enforceable(whole, {})


def _types(schema: Any, root: Any) -> frozenset[str]:
    everything = frozenset(_TYPES)
    if not isinstance(schema, dict):
        return everything
    if "$ref" in schema:
        found = _referred(schema["$ref"], root)
        return everything if found is None else _types(found, root)
    if "enum" in schema or "const" in schema:
        return frozenset(_type_of(one) for one in schema.get("enum", [schema.get("const")]))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return frozenset[str]().union(*(_types(one, root) for one in schema[key]))
    given = schema.get("type")
    if given is None:
        return everything
    return frozenset([given] if isinstance(given, str) else given)


def _referred(place: str, root: Any) -> Any:
    found = root
    for step in place.split("/")[1:] if place.startswith("#/") else [""]:
        found = found.get(step) if isinstance(found, dict) else None
    return None if found is root else found


def _type_of(value: Any) -> str:
    names = (name for name, types in _TYPES.items() if type(value) in types)
    return next(names, "object")


def _fits(value: Any, types: Iterable[str]) -> bool:
    return any(type(value) in _TYPES.get(name, ()) for name in types)


def _constraints(schema: Any) -> bool:
    """Whether a schema asks for more than types."""
    if not isinstance(schema, dict):
        return False
    branches = schema.get("anyOf", ())
    return bool(set(schema) - {"type", "anyOf", *_WORDS}) or any(_constraints(one) for one in branches)


def _read(text: str) -> tuple[Any, bool]:
    """Return what a text says as JSON, or as Python writes the three words that it has for it; and whether it does."""
    if text in _PYTHON:
        return _PYTHON[text], True
    try:
        return json.loads(text), True
    except (ValueError, RecursionError):
        return text, False
