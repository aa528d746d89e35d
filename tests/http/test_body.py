"""Bodies: what is wrong with one is told with the field, what was expected, and what to do."""

from typing import Any

import pytest

from universal_core.errors import BadRequest
from universal_core.http import decode
from universal_core.openai.chat import ChatBody
from universal_core.openai.completions import CompletionBody
from universal_core.openai.embeddings import EmbeddingsBody
from universal_core.openai.turns import Turn

MESSAGES = '"messages": [{"role": "user", "content": "hi"}]'


def refused(text: str | bytes, type: type[Any] = ChatBody) -> BadRequest:
    with pytest.raises(BadRequest) as raised:
        decode(text.encode() if isinstance(text, str) else text, type)
    assert raised.value.status == 400
    return raised.value


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ('"temperature": "hot"', "temperature", "temperature: expected float | null, got str"),
        ('"temperature": 3', "temperature", "<= 2"),
        ('"max_tokens": 0', "max_tokens", ">= 1"),
        ('"max_tokens": 1.5', "max_tokens", "int"),
        ('"n": 129', "n", "<= 128"),
        ('"top_logprobs": 21', "top_logprobs", "<= 20"),
        ('"stop": [1]', "stop[0]", "str"),
        ('"stop": ""', "stop", "length >= 1"),
        ('"logit_bias": {"5": 101}', "logit_bias[...]", "<= 100"),
        ('"logit_bias": {"word": 1}', "logit_bias", "int"),
        ('"stream_options": {"include_usage": 1}', "stream_options.include_usage", "bool"),
        ('"tools": [{"type": "function", "function": {"name": "with space"}}]', "tools[0].function.name", "regex"),
        ('"seed": 99999999999999999999', "seed", ""),
    ],
)
def test_a_wrong_value_is_told_with_its_field_and_what_was_expected(fields: str, param: str, words: str) -> None:
    error = refused(f"{{{MESSAGES}, {fields}}}")
    assert error.param == param
    assert words in error.message
    assert "`" not in error.message
    assert "$." not in error.message


@pytest.mark.parametrize(
    ("text", "param", "words"),
    [
        ("{}", "messages", "messages is required"),
        ('{"messages": [{"content": "x"}]}', "messages[0].role", "messages[0].role is required"),
        (
            '{"messages": [{"role": "user", "content": [{"type": "text"}]}]}',
            "messages[0].content[0].text",
            "is required",
        ),
        ('{"messages": []}', "messages", "length >= 1"),
        ('{"messages": {"role": "user"}}', "messages", "expected array, got object"),
    ],
)
def test_what_is_missing_is_named(text: str, param: str, words: str) -> None:
    error = refused(text)
    assert error.param == param
    assert words in error.message


@pytest.mark.parametrize(
    ("fields", "param", "nearest"),
    [
        ('"temprature": 1', "temprature", "did you mean temperature?"),
        ('"max_token": 1', "max_token", "did you mean max_tokens?"),
        ('"stream_options": {"include_usages": true}', "stream_options.include_usages", "did you mean include_usage?"),
        ('"response_format": {"type": "text", "jsonschema": {}}', "response_format.jsonschema", "json_schema"),
        ('"tools": [{"function": {"nam": "x"}}]', "tools[0].function.nam", "did you mean name?"),
        ('"zzzzzz": 1', "zzzzzz", "remove it"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_known_one(fields: str, param: str, nearest: str) -> None:
    error = refused(f"{{{MESSAGES}, {fields}}}")
    assert error.param == param
    assert nearest in error.message


def test_an_unknown_field_of_a_turn_is_refused_with_the_nearest_known_one() -> None:
    error = refused('{"messages": [{"role": "user", "contents": "x"}]}')
    assert error.param == "messages[0].contents"
    assert "did you mean content?" in error.message


@pytest.mark.parametrize(
    ("text", "type", "param", "choices"),
    [
        (
            '{"messages": [{"role": "boss", "content": "x"}]}',
            ChatBody,
            "messages[0].role",
            "assistant, developer, system, tool, user",
        ),
        (
            '{"messages": [{"role": "user", "content": [{"type": "smell"}]}]}',
            ChatBody,
            "messages[0].content[0].type",
            "file, image_url, input_audio, refusal, text",
        ),
        (
            f'{{{MESSAGES}, "response_format": {{"type": "xml"}}}}',
            ChatBody,
            "response_format.type",
            "json_object, json_schema, text",
        ),
        (
            f'{{{MESSAGES}, "reasoning_effort": "huge"}}',
            ChatBody,
            "reasoning_effort",
            "high, low, ",
        ),
        (f'{{{MESSAGES}, "tool_choice": "maybe"}}', ChatBody, "tool_choice", "auto, none, required"),
        ('{"input": "x", "encoding_format": "hex"}', EmbeddingsBody, "encoding_format", "base64, float"),
    ],
)
def test_a_value_that_is_none_of_the_choices_is_refused_with_the_choices(
    text: str, type: type[Any], param: str, choices: str
) -> None:
    error = refused(text, type)
    assert error.param == param
    assert f"expected one of {choices}" in error.message


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"messages": [', "{'messages': []}", "nonsense", b'{"model": "\xff"}', b"\xff\xfe", f"{{{MESSAGES}}} x"],
)
def test_what_is_no_json_is_refused_as_such(text: str | bytes) -> None:
    error = refused(text)
    assert "the body is not valid JSON" in error.message
    assert error.param is None


@pytest.mark.parametrize("text", ["null", "[]", '"text"', "3"])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    assert "the body: expected object" in refused(text).message


def test_json_that_is_nested_without_end_is_refused() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    assert refused(f'{{{MESSAGES}, "metadata": {{"a": {deep}}}}}').status == 400


@pytest.mark.parametrize(
    ("text", "type"),
    [
        ('{"prompt": "x", "model": null, "stop": null, "n": null, "stream": null, "seed": null}', CompletionBody),
        ('{"input": "x", "dimensions": null, "encoding_format": null, "user": null}', EmbeddingsBody),
        (f'{{{MESSAGES}, "tools": null, "tool_choice": null, "response_format": null, "audio": null}}', ChatBody),
    ],
)
def test_null_is_the_same_as_leaving_a_field_out(text: str, type: type[Any]) -> None:
    assert decode(text.encode(), type) is not None


def test_what_is_wrong_in_a_part_of_a_body_is_told_with_the_place_of_the_part() -> None:
    with pytest.raises(BadRequest) as raised:
        decode(b'{"role": "user", "content": 5}', Turn, "input[3]")
    assert raised.value.param == "input[3].content"
    assert raised.value.message.startswith("input[3].content: expected")
    with pytest.raises(BadRequest) as raised:
        decode(b'{"rolle": "user"}', Turn, "input[3]")
    assert raised.value.param == "input[3].rolle"
    assert "did you mean role" in raised.value.message
    with pytest.raises(BadRequest) as raised:
        decode(b"5", Turn, "input[3]")
    assert raised.value.param == "input[3]"
