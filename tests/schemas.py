"""JSON schemas of all supported kinds, made by hypothesis, and the check that an answer is valid."""

import json
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from jsonschema import Draft202012Validator

Schema = dict[str, Any] | bool

QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]


def same_every_time(count: int) -> Any:
    """Return settings with which a property is tried on the same ``count`` examples in every run."""
    return settings(max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=QUIET)


NAMES = some.sampled_from(("a", "b", "name", "x y", 'q"', "é", "€/~", ""))
VALUES = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(-1000, 1000),
    some.sampled_from((0.5, -2.25, 1e3, 1e-3)),
    some.text(alphabet='ab"\\/\n é😀', max_size=6),
    some.lists(some.integers(0, 3), max_size=3),
    some.dictionaries(NAMES, some.integers(0, 3), max_size=2),
)


def _ordered(low: str, high: str, numbers: Any) -> Any:
    """Return bounds that are in order, of which any may be missing."""

    def bounds(pair: list[Any], kept: tuple[bool, bool]) -> dict[str, Any]:
        return {name: value for name, value, wanted in zip((low, high), sorted(pair), kept, strict=True) if wanted}

    return some.builds(
        bounds, some.lists(numbers, min_size=2, max_size=2), some.tuples(some.booleans(), some.booleans())
    )


def _typed(kind: str, *keywords: Any) -> Any:
    return some.builds(
        lambda *found: {"type": kind} | {key: value for one in found for key, value in one.items()}, *keywords
    )


HALVES = some.integers(-40, 40).map(lambda number: number / 2)
NUMBERS = some.one_of(
    _typed("integer", _ordered("minimum", "maximum", some.integers(-300, 300))),
    _typed("integer", _ordered("exclusiveMinimum", "maximum", some.integers(-300, 300).map(lambda n: n * 3))).filter(
        lambda schema: schema.get("exclusiveMinimum") != schema.get("maximum", 0.5)
    ),
    _typed("integer", some.builds(lambda n: {"multipleOf": n}, some.integers(1, 12))),
    _typed("number", _ordered("minimum", "maximum", HALVES)),
    _typed("number", some.builds(lambda n: {"multipleOf": n}, some.sampled_from((0.5, 0.25, 2)))),
)
TEXTS = some.one_of(
    _typed("string", _ordered("minLength", "maxLength", some.integers(0, 8))),
    some.sampled_from(("^[a-c]{1,4}$", "^(yes|no)$", "^\\d+(,\\d+)?$", "x", "^a|b$", "^\\w\\s?\\S$", '^["\\\\]?$')).map(
        lambda pattern: {"type": "string", "pattern": pattern}
    ),
    some.sampled_from(("date", "time", "uuid", "ipv4", "date-time", "int32")).map(
        lambda name: {"type": "string", "format": name}
    ),
)
FIXED = some.one_of(
    some.lists(VALUES, min_size=1, max_size=4).map(lambda values: {"enum": values}),
    VALUES.map(lambda value: {"const": value}),
    some.sampled_from(({"type": "null"}, {"type": "boolean"}, {"type": ["integer", "null"], "minimum": 3})),
)


def _object(members: dict[str, Schema], needed: set[str], rest: Any, order: bool) -> dict[str, Any]:
    required = sorted(needed & members.keys(), reverse=order)
    return {"type": "object", "properties": members, "required": required} | rest


def _one_of(members: list[Schema], tag: str) -> dict[str, Any]:
    """Return alternatives that a constant tells apart."""
    return {
        "oneOf": [
            {"type": "object", "properties": {tag: {"const": number}, "value": member}, "required": [tag, "value"]}
            for number, member in enumerate(members)
        ]
    }


def _linked(member: Schema) -> dict[str, Any]:
    """Return a list that is linked, by a reference to the schema itself."""
    link = {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/link"}]}
    return {"type": "object", "properties": {"value": member, "next": link}, "required": ["value", "next"]}


def _combined(inner: Any) -> Any:
    rests = some.one_of(
        some.just({"additionalProperties": False}),
        some.just({}),
        inner.map(lambda schema: {"additionalProperties": schema}),
        inner.map(lambda schema: {"patternProperties": {"^z": schema}, "additionalProperties": False}),
    )
    sizes = _ordered("minItems", "maxItems", some.integers(0, 4))
    return some.one_of(
        some.builds(
            _object,
            some.dictionaries(NAMES, inner, max_size=4),
            some.sets(NAMES, max_size=4),
            rests,
            some.booleans(),
        ),
        some.builds(lambda items, size: {"type": "array", "items": items} | size, inner, sizes),
        some.builds(
            lambda first, rest: {"type": "array", "prefixItems": first, "items": rest},
            some.lists(inner, min_size=1, max_size=3),
            some.one_of(some.just(False), inner),
        ),
        some.lists(inner, min_size=1, max_size=3).map(lambda members: {"anyOf": members}),
        some.builds(_one_of, some.lists(inner, min_size=1, max_size=3), some.sampled_from(("kind", "t"))),
        inner.map(lambda member: {"allOf": [{"type": "object", "properties": {"a": member}}, {"required": ["a"]}]}),
    )


def _whole(schema: Schema, member: Schema, recursive: bool) -> Schema:
    """Return a schema, some of them with a part that refers to itself."""
    if not recursive:
        return schema
    link = {"anyOf": [{"$ref": "#/$defs/link"}, schema]}
    return {"$schema": Draft202012Validator.META_SCHEMA["$id"], "$defs": {"link": _linked(member)}, **link}


SCHEMAS = some.builds(
    _whole, some.recursive(some.one_of(NUMBERS, TEXTS, FIXED), _combined, max_leaves=6), TEXTS, some.booleans()
)


def is_valid(text: str, schema: Schema) -> bool:
    """Whether a text is JSON that a schema describes."""
    return bool(Draft202012Validator(schema).is_valid(json.loads(text)))
