"""The form that an answer is asked for in: response_format, and the names that users of other servers write."""

import json
from typing import Any

import pytest

from universal_core.errors import BadRequest
from universal_core.http import decode
from universal_core.messages import ResponseFormat
from universal_core.openai.chat import ChatBody
from universal_core.openai.completions import CompletionBody

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
PLACE = "response_format.json_schema.schema"


def chat(**fields: Any) -> ResponseFormat | None:
    body = {"messages": [{"role": "user", "content": "hi"}], **fields}
    return decode(json.dumps(body).encode(), ChatBody).to_request().response_format


def completion(**fields: Any) -> ResponseFormat | None:
    (found,) = decode(json.dumps({"prompt": "hi", **fields}).encode(), CompletionBody).to_requests()
    return found.response_format


def json_schema(**fields: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "s", **fields}}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, ResponseFormat(type="json_object")),
        (json_schema(), ResponseFormat(type="json_object", name="s")),
        (json_schema(schema=SCHEMA), ResponseFormat(type="json_schema", param=PLACE, name="s", schema=SCHEMA)),
        (
            json_schema(schema=SCHEMA, strict=True, description="what it is for"),
            ResponseFormat(type="json_schema", param=PLACE, name="s", schema=SCHEMA, strict=True),
        ),
        (
            {"type": "json_object", "schema": SCHEMA},
            ResponseFormat(type="json_schema", param="response_format.schema", schema=SCHEMA),
        ),
        (
            {"type": "json_schema", "schema": SCHEMA},
            ResponseFormat(type="json_schema", param="response_format.schema", schema=SCHEMA),
        ),
    ],
)
def test_a_response_format_is_a_form(asked: dict[str, Any], expected: ResponseFormat | None) -> None:
    assert chat(response_format=asked) == expected


GUIDED = [
    ("guided_json", SCHEMA, ResponseFormat(type="json_schema", param="", schema=SCHEMA, strict=True)),
    ("guided_json", json.dumps(SCHEMA), ResponseFormat(type="json_schema", param="", schema=SCHEMA, strict=True)),
    ("guided_json", True, ResponseFormat(type="json_schema", param="", schema=True, strict=True)),
    ("guided_regex", r"\d+", ResponseFormat(type="regex", param="", text=r"\d+")),
    ("guided_choice", ["yes", "no"], ResponseFormat(type="choice", param="", choices=("yes", "no"))),
    ("guided_grammar", "root ::= x", ResponseFormat(type="grammar", param="", text="root ::= x")),
]


@pytest.mark.parametrize("ask", [chat, completion])
@pytest.mark.parametrize(("name", "value", "expected"), GUIDED)
def test_each_guided_field_is_a_form_under_both_of_its_names(
    ask: Any, name: str, value: Any, expected: ResponseFormat
) -> None:
    inner = name.removeprefix("guided_")
    for fields, param in (
        ({name: value}, name),
        ({"structured_outputs": {inner: value}}, f"structured_outputs.{inner}"),
    ):
        found = ask(**fields)
        assert found.param == param
        assert (found.type, found.schema, found.text, found.choices, found.strict) == (
            *(expected.type, expected.schema, expected.text, expected.choices, expected.strict),
        )


@pytest.mark.parametrize("ask", [chat, completion])
def test_grammar_and_json_objects_are_forms_of_both_endpoints(ask: Any) -> None:
    assert ask(grammar="root ::= x") == ResponseFormat(type="grammar", param="grammar", text="root ::= x")
    found = ask(structured_outputs={"json_object": True})
    assert found == ResponseFormat(type="json_object", param="structured_outputs.json_object")
    assert ask() is None


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        (
            {"response_format": {"type": "xml"}},
            "response_format.type",
            "expected one of json_object, json_schema, text",
        ),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "required for type json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
            "response_format.json_schema.name",
            "required",
        ),
        (
            {"response_format": {"type": "json_object", "json_schema": {"name": "s"}}},
            "response_format.json_schema",
            "only allowed with type json_schema, not with json_object",
        ),
        ({"response_format": {"type": "text", "schema": {}}}, "response_format.schema", "only allowed with type"),
        ({"response_format": {**json_schema(), "schema": {}}}, "response_format.schema", "both there; send the latter"),
        ({"guided_json": "{"}, "guided_json", "this text is no JSON"),
        ({"guided_json": "5"}, "guided_json", "an object or a boolean"),
        ({"structured_outputs": {"json": "["}}, "structured_outputs.json", "this text is no JSON"),
        ({"structured_outputs": {}}, "structured_outputs", "expected one of json, regex, choice, grammar, json_object"),
        ({"structured_outputs": {"json_object": False}}, "structured_outputs.json_object", "expected one of True"),
        ({"guided_choice": []}, "guided_choice", "length >= 1"),
        ({"guided_regex": ""}, "guided_regex", "length >= 1"),
        ({"grammar": ""}, "grammar", "length >= 1"),
    ],
)
def test_a_form_that_makes_no_sense_is_refused_by_name(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as raised:
        chat(**fields)
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"grammar": "x", "guided_json": {}}, "guided_json", "guided_json and grammar both say"),
        ({"guided_json": {}, "guided_regex": "x"}, "guided_regex", "guided_regex and guided_json both say"),
        ({"grammar": "x", "response_format": {"type": "json_object"}}, "grammar", "grammar and response_format both"),
        ({"grammar": "x", "response_format": json_schema(schema={})}, "grammar", f"grammar and {PLACE} both"),
        ({"structured_outputs": {"json": {}, "regex": "x"}}, "structured_outputs.regex", "send one of them"),
    ],
)
def test_two_forms_at_once_are_refused(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as raised:
        chat(**fields)
    assert raised.value.param == param
