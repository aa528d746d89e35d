"""JSON schemas: what is kept to is always valid, and what cannot be kept to is refused by keyword and place."""

import json
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given

from letters import END, TURN, Letters, allowed, fits
from schemas import SCHEMAS, Schema, is_valid, same_every_time
from universal_core import BadRequest
from universal_core.conversation import Constraint, Grammar
from universal_core.conversation.grammars import Grammars

ENDS = {END, TURN}
PARAM = "response_format.json_schema.schema"


@pytest.fixture(scope="module")
def grammars() -> Grammars:
    return Grammars(Letters())


def follow(grammars: Grammars, schema: Any) -> Constraint:
    return grammars.follow(Grammar("start: @answer", {"answer": {"json_schema": schema}}, {"answer": PARAM}))


def ramble(form: Constraint, seed: int, most: int = 300) -> str | None:
    """Return what tokens drawn at random come to, None where they come to no end."""
    chance, written = random.Random(seed), []
    for _ in range(most):
        choices = sorted(allowed(form))
        token = chance.choice(choices)
        if token in ENDS:
            return Letters().decode(written)
        written.append(token)
        form.accept(token)
    return None


def test_whatever_is_written_is_valid(grammars: Grammars) -> None:
    outcomes: Counter[bool] = Counter()

    @given(SCHEMAS)
    @same_every_time(150)
    def check(schema: Schema) -> None:
        form = follow(grammars, schema)
        for seed in range(3):
            text = ramble(form.copy(), seed)
            outcomes[text is not None] += 1
            assert text is None or is_valid(text, schema), f"{text} by {schema}"

    check()
    assert outcomes[True] > outcomes[False]


POINT = {"type": "object", "properties": {"t": {"const": "point"}}, "required": ["t"]}
LINE = {"type": "object", "properties": {"t": {"const": "line"}}, "required": ["t"]}
CLOSED = {"type": "object", "properties": {"b": {}}, "required": ["b"], "additionalProperties": False}


@pytest.mark.parametrize(
    "alternatives",
    [
        [{"type": "integer"}, {"type": "string"}, {"type": "null"}],
        [POINT, LINE],
        [{"$ref": "#/$defs/point"}, {"allOf": [{"$ref": "#/$defs/line"}]}],
        [{"anyOf": [POINT, {"type": "null"}]}, LINE],
        [CLOSED, {"type": "object", "required": ["a"]}],
        [{"enum": [1, "a"]}, {"enum": [2, "b"]}],
        [{"type": "integer", "maximum": 2}, {"type": "number", "minimum": 3}],
        [{"type": "string", "maxLength": 2}, {"type": "string", "minLength": 3}],
        [{"type": "array", "maxItems": 1}, {"type": "array", "minItems": 2}],
        [True, False],
    ],
)
def test_one_of_alternatives_that_exclude_each_other_is_kept(alternatives: list[Any], grammars: Grammars) -> None:
    schema = {"oneOf": alternatives, "$defs": {"point": POINT, "line": LINE}}
    form = follow(grammars, schema)
    texts = [text for seed in range(20) if (text := ramble(form.copy(), seed)) is not None]
    assert texts
    assert all(is_valid(text, schema) for text in texts)


@pytest.mark.parametrize(
    "alternatives",
    [
        [{"type": "integer"}, {"type": "number"}],
        [{"enum": [1, 2]}, {"enum": [2.0, 3]}],
        [{"type": "object", "properties": {"t": {"const": 1}}}, {"type": "object", "properties": {"t": {"const": 2}}}],
        [{"type": "object", "required": ["a"]}, {"type": "object", "required": ["b"]}],
        [{"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "b$"}],
        [{"type": "integer", "maximum": 3}, {"type": "integer", "minimum": 3}],
        [True, {"type": "null"}],
        [{"$ref": "#/$defs/loop"}, {"type": "null"}],
    ],
)
def test_one_of_alternatives_that_may_both_fit_is_refused(alternatives: list[Any], grammars: Grammars) -> None:
    loop = {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/loop"}}, {"type": "null"}]}
    with pytest.raises(BadRequest, match=r"at #: oneOf is supported"):
        follow(grammars, {"oneOf": alternatives, "$defs": {"loop": loop}})


@pytest.mark.parametrize(
    "keyword",
    [
        {"not": {"const": 1}},
        {"if": {"required": ["a"]}},
        {"then": {}},
        {"else": {}},
        {"contains": {}},
        {"minContains": 1},
        {"maxContains": 1},
        {"uniqueItems": True},
        {"propertyNames": {"maxLength": 3}},
        {"dependencies": {"a": ["b"]}},
        {"dependentRequired": {"a": ["b"]}},
        {"dependentSchemas": {"a": {}}},
        {"unevaluatedItems": False},
        {"unevaluatedProperties": False},
        {"$dynamicRef": "#a"},
        {"$recursiveRef": "#"},
        {"format": "regex"},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#name"},
        {"$ref": 3},
        {"$id": "https://example.com/schema"},
        {"x-guidance": {"lenient": True}},
        {"enum": []},
        {"enum": "a"},
        {"type": []},
        {"type": "nonsense"},
        {"type": 3},
        {"anyOf": []},
        {"allOf": {}},
        {"items": 3},
        {"properties": []},
        {"properties": {"b": 3}},
        {"required": "a"},
        {"minLength": -1},
        {"maxItems": "many"},
        {"minimum": "low"},
        {"type": "string", "pattern": "(?=a)b"},
        {"type": "string", "pattern": "["},
        {"type": "object", "minProperties": 2},
        {"type": "integer", "minimum": 5, "maximum": 3},
        {"type": "string", "minLength": 5, "maxLength": 3},
        {"type": "array", "minItems": 5, "maxItems": 3},
        {"type": "integer", "enum": ["a"]},
    ],
    ids=json.dumps,
)
def test_what_cannot_be_kept_to_is_refused_by_keyword_and_place(keyword: dict[str, Any], grammars: Grammars) -> None:
    schema = {"type": "object", "properties": {"a/b": {"anyOf": [keyword]}}, "required": ["a/b"]}
    with pytest.raises(BadRequest) as caught:
        follow(grammars, schema)
    assert caught.value.param == PARAM
    assert caught.value.message.startswith(f"{PARAM}: at #/properties/a~1b/anyOf/0")
    assert list(keyword)[-1] in caught.value.message or "b: " in caught.value.message


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
        {"type": "array", "prefixItems": [{"anyOf": [{"$ref": "#"}]}], "minItems": 1},
    ],
    ids=json.dumps,
)
def test_a_schema_that_never_ends_is_refused(schema: Any, grammars: Grammars) -> None:
    with pytest.raises(BadRequest, match=r"\$ref #.* never end"):
        follow(grammars, schema)


@pytest.mark.parametrize("schema", [False, {"$schema": "https://example.com/mine"}, {"x-guidance": {"lenient": True}}])
def test_the_top_of_a_schema_is_checked(schema: Any, grammars: Grammars) -> None:
    with pytest.raises(BadRequest, match="at #: "):
        follow(grammars, schema)


def test_schemas_too_deep_are_refused(grammars: Grammars) -> None:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(200):
        schema = {"type": "array", "items": schema}
    with pytest.raises(BadRequest, match="nested 50 deep"):
        follow(grammars, schema)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"uniqueItems": False, "unevaluatedProperties": True, "propertyNames": {}, "not": False}, "[1, 1]"),
        ({"title": "A", "description": "b", "default": 1, "examples": [2], "$comment": "c", "deprecated": True}, "3"),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "$id": "https://example.com/a", "type": "null"},
            "null",
        ),
        ({"type": "string", "format": "password"}, '"anything"'),
        ({"type": "integer", "format": "int32"}, "7"),
        ({"type": "array", "minItems": 1.0, "maxItems": 1.0}, "[1]"),
        ({"type": "object", "properties": {"$ref": {"const": 1}, "not": {"const": 2}}}, '{"$ref":1,"not":2}'),
        ({"definitions": {"a b/c": {"const": 1}}, "$ref": "#/definitions/a%20b~1c"}, "1"),
        ({"$defs": {"unused": {"not": {}}}, "type": "null"}, "null"),
        ({"enum": [{"b": 1, "a": [1.5, None]}]}, '{"b": 1, "a": [1.5, null]}'),
        (True, '{"a": [1, "b"]}'),
    ],
    ids=json.dumps,
)
def test_what_says_nothing_changes_nothing(schema: Any, text: str, grammars: Grammars) -> None:
    before = json.dumps(schema)
    assert fits(follow(grammars, schema), text)
    assert json.dumps(schema) == before


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", "2024-02-29", "2024-02-30"),
        ("time", "23:59:59Z", "25:00:00Z"),
        ("date-time", "2024-01-31T12:00:00Z", "2024-01-31"),
        ("duration", "P1DT2H", "P"),
        ("email", "a@example.com", "a"),
        ("hostname", "a.example", "a..b"),
        ("ipv4", "127.0.0.1", "256.0.0.1"),
        ("ipv6", "::1", ":1"),
        ("uri", "https://example.com/a", "a"),
        ("uuid", "12345678-1234-1234-1234-123456789abc", "1234"),
    ],
)
def test_formats_are_kept(name: str, good: str, bad: str, grammars: Grammars) -> None:
    form = follow(grammars, {"type": "string", "format": name})
    assert fits(form, json.dumps(good))
    assert not fits(form, json.dumps(bad))


def test_members_come_in_the_order_of_the_schema_and_without_whitespace_where_asked_for(grammars: Grammars) -> None:
    schema = {"type": "object", "properties": {"b": {"const": 1}, "a": {"const": 2}}, "required": ["a", "b"]}
    assert fits(follow(grammars, schema), '{"b": 1, "a": 2}')
    assert not fits(follow(grammars, schema), '{"a": 2, "b": 1}')
    assert not fits(follow(grammars, schema | {"x-guidance": {"whitespace_flexible": False}}), '{"b": 1, "a": 2}')


def can_write(form: Constraint, text: str) -> bool:
    for token in Letters().encode(text, special=False):
        if token not in allowed(form):
            return False
        form.accept(token)
    return True


NAMED = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("schema", "opens"),
    [
        (NAMED, False),
        ({"type": "array", "items": NAMED}, False),
        ({"$ref": "#/$defs/named", "description": "one", "$defs": {"named": NAMED}}, False),
        ({"anyOf": [NAMED, {"type": "null"}]}, False),
        ({**NAMED, "additionalProperties": True}, True),
        ({**NAMED, "patternProperties": {"^b": {}}}, True),
        ({**NAMED, "required": ["a", "b"]}, True),
        ({**NAMED, "allOf": [{"type": "object", "properties": {"b": {}}}]}, True),
        ({"allOf": [NAMED, {"type": "object", "properties": {"b": {}}}]}, True),
        ({"type": "object"}, True),
    ],
)
def test_objects_that_name_their_members_have_no_others(schema: Any, opens: bool, grammars: Grammars) -> None:
    before = "[" if schema.get("type") == "array" else ""
    form = follow(grammars, schema)
    assert can_write(form.copy(), f'{before}{{"a": 1')
    assert can_write(form.copy(), f'{before}{{"a": 1, "b": 2}}') is opens
