"""From a client's JSON schema to one that llguidance keeps to in full; others are refused by keyword and place.

https://json-schema.org/draft/2020-12 says what the keywords mean, and
https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md which of them llguidance knows.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import msgspec

from universal_core.conversation.schemas.closed import close
from universal_core.conversation.schemas.endless import endless
from universal_core.conversation.schemas.exclusive import all_exclusive
from universal_core.conversation.schemas.pointers import Schema, below, resolve
from universal_core.errors import BadRequest

# What models write: nothing, one blank, or a new line with its indentation. Unlimited whitespace, which JSON allows,
# is where a model gets stuck that the form keeps from what it would rather say.
WHITESPACE = r" |\n[ \t]{0,40}"
_GUIDANCE = "x-guidance"

_DEEPEST = 50
_MOST_ALTERNATIVES = 200

# keyword -> the values with which it says nothing
_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "not": (False,),
    "if": (),
    "then": (),
    "else": (),
    "contains": (),
    "minContains": (),
    "maxContains": (),
    "uniqueItems": (False,),
    "propertyNames": (True, {}),
    "dependencies": ({},),
    "dependentRequired": ({},),
    "dependentSchemas": ({},),
    "unevaluatedItems": (True, {}),
    "unevaluatedProperties": (True, {}),
    "$dynamicRef": (),
    "$dynamicAnchor": (),
    "$recursiveRef": (),
    "$recursiveAnchor": (False,),
}
_FORMATS = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"))
# The others of JSON Schema; any further name is somebody's own, and says nothing about what is valid.
_OTHER_FORMATS = frozenset(
    (
        *("idn-email", "idn-hostname", "uri-reference", "iri", "iri-reference", "uri-template"),
        *("json-pointer", "relative-json-pointer", "regex"),
    )
)
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_SHAPES: dict[str, Any] = {
    "type": str | list[str],
    "enum": list[Any],
    "required": list[str],
    "pattern": str,
    "minimum": float,
    "maximum": float,
    "exclusiveMinimum": float | bool,
    "exclusiveMaximum": float | bool,
    "multipleOf": float,
}
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS = ("properties", "patternProperties")
_SINGLE = ("items", "additionalItems", "additionalProperties")


def followable(schema: Schema, param: str | None) -> dict[str, Any]:
    """Return a schema as llguidance takes it, so that every text that it allows is valid by the one given.

    Raises BadRequest for a keyword that it cannot keep to; ``param`` is the field that has the schema.
    """
    return _Reading(deepcopy(schema), param).result()


def relaxed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without the keywords that cannot be kept to, by which all that is valid by it stays valid.

    Raises BadRequest for what is no schema.
    """
    found = _Reading(deepcopy(schema), None, lenient=True).result()
    found.pop(_GUIDANCE)
    return found


class _Reading:
    """One schema on its way through; what it works on is its own.

    Where it is ``lenient``, a keyword that cannot be kept to is left out.
    """

    def __init__(self, root: Schema, param: str | None, *, lenient: bool = False) -> None:
        self._root = root
        self._param = param
        self._lenient = lenient
        self._parts: list[dict[str, Any]] = []
        self._references: set[str] = set()
        self._alternatives: list[tuple[dict[str, Any], str]] = []

    def result(self) -> dict[str, Any]:
        """Return the schema, with the whitespace that answers have."""
        root = self._root
        if isinstance(root, bool):
            if not root:
                raise self._refused("#", "the schema false allows no answer at all")
            return {_GUIDANCE: _guidance(None)}
        self._check_root(root)
        guidance = _guidance(root.pop(_GUIDANCE, None))
        self._read(root, "#", 0)
        for schema, place in self._alternatives:
            self._check_alternatives(schema, place)
        if turning := endless(root, self._references):
            raise self._refused("#", f"$ref {turning} leads to itself in every answer, which would never end")
        if not self._lenient:
            close(self._parts)
        return root | {_GUIDANCE: guidance}

    def _check_root(self, root: dict[str, Any]) -> None:
        dialect = root.pop("$schema", None)
        if dialect is not None and "json-schema.org/" not in str(dialect):
            raise self._refused("#", f"$schema {dialect} is no version of JSON Schema that is known")
        for name in ("$id", "id"):
            root.pop(name, None)
        wishes = root.get(_GUIDANCE)
        if wishes is not None and (not isinstance(wishes, dict) or wishes.keys() - {"whitespace_flexible"}):
            raise self._refused("#", f"of {_GUIDANCE} only whitespace_flexible can be set")

    def _read(self, schema: Any, place: str, depth: int) -> None:
        """Check a schema and all that it leads to, and put it into llguidance's words."""
        if isinstance(schema, bool):
            return
        if not isinstance(schema, dict):
            raise self._refused(place, f"expected a schema, an object or a boolean, not {schema!r}")
        if depth > _DEEPEST:
            raise self._refused(place, f"schemas can be nested {_DEEPEST} deep")
        self._parts.append(schema)
        self._check_keywords(schema, place)
        self._check_shapes(schema, place)
        self._check_values(schema, place)
        self._check_reference(schema, place, depth)
        for child, where in self._children(schema, place):
            self._read(child, where, depth + 1)
        if "oneOf" in schema:
            self._alternatives.append((schema, place))

    def _check_keywords(self, schema: dict[str, Any], place: str) -> None:
        for name in [name for name in schema if name in _UNSUPPORTED]:
            silent = any(schema[name] is value or schema[name] == value == {} for value in _UNSUPPORTED[name])
            if not silent and not self._lenient:
                raise self._refused(place, f"the keyword {name} is not supported")
            del schema[name]
        if _GUIDANCE in schema:
            raise self._refused(place, f"{_GUIDANCE} can stand at the top of a schema only")
        if "$id" in schema:
            raise self._refused(place, "$id can stand at the top of a schema only")

    def _check_shapes(self, schema: dict[str, Any], place: str) -> None:
        for name, shape in _SHAPES.items():
            if name in schema:
                try:
                    msgspec.convert(schema[name], shape)
                except msgspec.ValidationError as error:
                    raise self._refused(place, f"{name}: {error}") from None
        for name in ("enum", "type", "anyOf", "oneOf"):
            if schema.get(name) == []:
                raise self._refused(place, f"{name} is empty, so nothing is allowed")

    def _check_reference(self, schema: dict[str, Any], place: str, depth: int) -> None:
        if "$ref" not in schema:
            return
        reference = schema["$ref"]
        target = resolve(self._root, reference) if isinstance(reference, str) else None
        if target is None:
            raise self._refused(
                place, f"$ref {reference!r} is not in the schema; write a pointer into it, such as #/$defs/name"
            )
        if reference not in self._references:
            self._references.add(reference)
            self._read(target, reference, depth + 1)

    def _children(self, schema: dict[str, Any], place: str) -> Iterator[tuple[Any, str]]:
        for name in (*_LISTS, *_MAPS, *_SINGLE):
            found = schema.get(name)
            if isinstance(found, list) and name not in _MAPS:
                yield from ((each, below(place, name, number)) for number, each in enumerate(found))
            elif isinstance(found, dict) and name in _MAPS:
                yield from ((each, below(place, name, key)) for key, each in found.items())
            elif name in _SINGLE and name in schema:
                yield found, below(place, name)
            elif name in schema:
                raise self._refused(place, f"{name}: expected {'an object' if name in _MAPS else 'a list'} of schemas")

    def _check_values(self, schema: dict[str, Any], place: str) -> None:
        for name in _COUNTS:
            # JSON has one kind of number: 2.0 is a count too.
            if isinstance(value := schema.get(name), float) and value.is_integer():
                schema[name] = int(value)
            if name in schema and (type(schema[name]) is not int or schema[name] < 0):
                raise self._refused(place, f"{name}: expected a count, not {schema[name]!r}")
        self._check_format(schema, place)
        least, needed = schema.get("minProperties", 0), len(set(schema.get("required", ())))
        is_open = schema.get("additionalProperties") is not False or schema.get("patternProperties")
        if is_open and least > needed + 1 and self._lenient:
            schema["minProperties"] = needed + 1
        elif is_open and least > needed + 1:
            # A name of the model's own may come twice, and a reader of JSON takes the last.
            raise self._refused(
                place,
                f"minProperties {least} with names that are not listed; at most one more than required is supported",
            )

    def _check_format(self, schema: dict[str, Any], place: str) -> None:
        name = schema.get("format")
        if name in _OTHER_FORMATS and not self._lenient:
            raise self._refused(place, f"format {name!r} is not supported; these are: {', '.join(sorted(_FORMATS))}")
        if "format" in schema and name not in _FORMATS:
            del schema["format"]

    def _check_alternatives(self, schema: dict[str, Any], place: str) -> None:
        """Turn ``oneOf`` into ``anyOf`` where that means the same."""
        alternatives = schema["oneOf"]
        known = self._lenient or (
            len(alternatives) <= _MOST_ALTERNATIVES
            and all_exclusive(alternatives, lambda reference: resolve(self._root, reference))
        )
        if not known:
            raise self._refused(
                place,
                "oneOf is supported where its alternatives clearly exclude each other, by type or by a required "
                "property with different constants; use anyOf",
            )
        del schema["oneOf"]
        if "anyOf" in schema:
            schema["allOf"] = [*schema.get("allOf", []), {"anyOf": alternatives}]
        else:
            schema["anyOf"] = alternatives

    def _refused(self, place: str, problem: str) -> BadRequest:
        return BadRequest(f"{self._param}: at {place}: {problem}", param=self._param)


def _guidance(wishes: dict[str, Any] | None) -> dict[str, Any]:
    """Return llguidance's own settings: https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md."""
    if wishes and wishes.get("whitespace_flexible") is False:
        return {"whitespace_flexible": False}
    return {"whitespace_pattern": WHITESPACE}
