"""Answers in a form: what a random model writes is always valid, or cut off by its length."""

import json
from typing import Any

import pytest

from tiny.answers import Answers, chat_request, completion
from universal_core import BadRequest, ChatRequest, ResponseFormat

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 18, "maximum": 99},
        "role": {"enum": ["admin", "guest"]},
        "tags": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
    },
    "required": ["name", "age", "role", "tags"],
    "additionalProperties": False,
}


def formed(schema: Any = None, **fields: Any) -> ChatRequest:
    """Return a chat whose answer is a JSON object, of a schema where there is one."""
    kind = "json_object" if schema is None else "json_schema"
    param = "response_format" if schema is None else "response_format.json_schema.schema"
    form = ResponseFormat(type=kind, param=param, schema=schema)
    settings = {"temperature": 1.0, "max_tokens": 300, "response_format": form, **fields}
    return chat_request("hello", **settings)


def grammar(text: str) -> ResponseFormat:
    return ResponseFormat(type="grammar", param="grammar", text=text)


def is_person(value: Any) -> bool:
    return (
        list(value) == ["name", "age", "role", "tags"]
        and len(value["name"]) <= 8
        and 18 <= value["age"] <= 99
        and isinstance(value["age"], int)
        and value["role"] in ("admin", "guest")
        and 1 <= len(value["tags"]) <= 3
        and all(isinstance(tag, bool) for tag in value["tags"])
    )


@pytest.mark.parametrize("name", ["llama", "mamba"])
def test_a_schema_with_bounds_is_kept_at_temperature_1(name: str, shared_model: Any, ask_writer: Any) -> None:
    answers = ask_writer(shared_model(name), *(formed(PERSON, seed=seed) for seed in range(12)))
    assert sum(answer.reason == "stop" for answer in answers) > 6
    for answer in answers:
        if answer.reason == "stop":
            assert is_person(json.loads(answer.text))


def test_without_a_schema_the_answer_is_an_object(shared_model: Any, ask_writer: Any) -> None:
    answers = ask_writer(shared_model("llama"), *(formed(seed=seed) for seed in range(12)))
    ended = [answer for answer in answers if answer.reason == "stop"]
    assert ended
    assert all(isinstance(json.loads(answer.text), dict) for answer in ended)
    assert all(answer.text.lstrip().startswith("{") for answer in answers)


def test_three_answers_each_follow_the_schema_by_themselves(shared_model: Any, ask_writer: Any) -> None:
    (answer,) = ask_writer(shared_model("llama"), formed(PERSON, n=3, seed=5))
    texts = [found.text for found in answer.by_index.values() if found.reason == "stop"]
    assert len(set(texts)) == len(texts) >= 2
    assert all(is_person(json.loads(text)) for text in texts)


def test_free_answers_beside_it_are_what_they_are_alone(shared_model: Any, ask_writer: Any) -> None:
    model = shared_model("llama")
    free = [completion(text, max_tokens=30) for text in ("hello", "the quick", "0 1 2")]
    alone = [ask_writer(model, request)[0].by_index for request in free]
    *crowd, formed_answer = ask_writer(model, *free, formed(PERSON, seed=1))
    assert [one.by_index for one in crowd] == alone
    assert formed_answer.by_index == ask_writer(model, formed(PERSON, seed=1))[0].by_index


def test_the_best_token_that_is_allowed_is_taken_at_temperature_0(shared_model: Any, ask_writer: Any) -> None:
    schema = {"enum": ["red", "green"]}
    one, two = ask_writer(shared_model("llama"), *[formed(schema, temperature=0.0)] * 2)
    assert one.by_index == two.by_index
    assert json.loads(one.text) in ("red", "green")


@pytest.mark.parametrize(
    "text",
    ['start: "yes" | "no" | "may" "be"', 'root ::= "yes" | "no" | "may" "be"'],
    ids=["lark", "gbnf"],
)
def test_a_grammar_says_what_may_be_said(text: str, shared_model: Any, ask_writer: Any) -> None:
    form = grammar(text)
    requests = [completion("hello", max_tokens=20, temperature=9.0, seed=seed, response_format=form) for seed in range(10)]
    answers = ask_writer(shared_model("llama"), *requests)
    assert {answer.text for answer in answers} <= {"yes", "no", "maybe"}
    assert len({answer.text for answer in answers}) > 1
    assert all(answer.reason == "stop" for answer in answers)


def test_a_grammar_with_a_choice_of_lengths_ends_where_it_may(shared_model: Any, ask_writer: Any) -> None:
    form = grammar("start: /[ab]{2,4}/")
    answers = ask_writer(
        shared_model("llama"),
        *(completion("x", max_tokens=20, temperature=1.0, seed=seed, response_format=form) for seed in range(10)),
    )
    assert all(2 <= len(answer.text) <= 4 and set(answer.text) <= {"a", "b"} for answer in answers)
    assert all(answer.reason == "stop" for answer in answers)


def test_the_length_cuts_a_form_off(shared_model: Any, ask_writer: Any) -> None:
    (answer,) = ask_writer(shared_model("llama"), formed(PERSON, max_tokens=3))
    assert (answer.reason, answer.usage.completion_tokens) == ("length", 3)


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (completion("x", response_format=grammar("start: /[/")), "grammar"),
        (completion("x", response_format=grammar("start: missing")), "grammar"),
        (completion("x", response_format=grammar("root ::= (")), "grammar"),
        (completion("x", response_format=grammar("")), "grammar"),
        (formed({"type": "nonsense"}), "response_format.json_schema.schema"),
        (formed({"type": "integer", "minimum": 5, "maximum": 3}), "response_format.json_schema.schema"),
        (formed({"$ref": "#/definitions/missing"}), "response_format.json_schema.schema"),
        (formed({"type": "object", "patternProperties": {"[": {}}}), "response_format.json_schema.schema"),
    ],
    ids=str,
)
def test_a_form_that_cannot_be_followed_is_refused_by_name(
    request_: Any, param: str, shared_model: Any, ask_writer: Any
) -> None:
    with pytest.raises(BadRequest) as caught:
        ask_writer(shared_model("llama"), request_)
    assert caught.value.param == param
    assert len(caught.value.message) > len(param) + 5


def test_guesses_follow_the_form_too(new_model: Any, shared_model: Any, ask_writer: Any) -> None:
    requests = [formed(PERSON, seed=seed) for seed in range(4)]
    guessed = ask_writer(new_model("llama", lookup_tokens=4), *requests)
    plain = ask_writer(shared_model("llama"), *requests)
    assert [text(answer) for answer in guessed] == [text(answer) for answer in plain]


def text(answers: Answers) -> str:
    return answers.text
