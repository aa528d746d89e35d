"""Answers in a form: what a random model writes is always valid, or cut off by its length."""

import json
import re
from collections import Counter
from typing import Any

import numpy
import pytest
from hypothesis import given

from schemas import SCHEMAS, Schema, is_valid, same_every_time
from tiny.answers import Answers, completion
from tiny.forms import PERSON, formed, guided, is_person
from universal_core import BadRequest, ResponseFormat
from universal_gguf.generation.sampling import rule_out


def grammar(text: str) -> ResponseFormat:
    return ResponseFormat(type="grammar", param="grammar", text=text)


def test_whatever_is_written_is_valid(shared_model: Any, ask_writer: Any) -> None:
    outcomes: Counter[str] = Counter()

    @given(SCHEMAS)
    @same_every_time(40)
    def check(schema: Schema) -> None:
        for answer in ask_writer(
            shared_model("llama"), *(formed(schema, seed=seed, max_tokens=80) for seed in range(4))
        ):
            outcomes[answer.reason] += 1
            assert answer.reason == "length" or is_valid(answer.text, schema), f"{answer.text} by {schema}"

    check()
    assert outcomes["stop"] > outcomes["length"]


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
    requests = [
        completion("hello", max_tokens=20, temperature=9.0, seed=seed, response_format=form) for seed in range(10)
    ]
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


@pytest.mark.parametrize("expression", ["[ab]{2,4}", "a/b\\/c", "x\ny", "(?i)yes|no", "(a|ab)(c|bcd)", "é+😀?"])
def test_a_regular_expression_matches_the_whole_answer(expression: str, shared_model: Any, ask_writer: Any) -> None:
    answers = ask_writer(shared_model("llama"), *(guided("regex", expression, seed=seed) for seed in range(6)))
    ended = [answer.text for answer in answers if answer.reason == "stop"]
    assert ended
    assert all(re.fullmatch(expression, text) for text in ended)


@pytest.mark.parametrize(
    "choices", [["yes", "yes please", "no"], ['"quoted"\\', "<|im_end|>", "tab\t", "é😀"], ["one"]]
)
def test_a_choice_is_one_of_the_choices_as_it_stands(choices: list[str], shared_model: Any, ask_writer: Any) -> None:
    requests = [guided("choice", choices, temperature=9.0, seed=seed) for seed in range(12)]
    answers = ask_writer(shared_model("llama"), *requests)
    assert all(answer.reason == "stop" for answer in answers)
    assert {answer.text for answer in answers} <= set(choices)
    assert len({answer.text for answer in answers}) >= min(2, len(choices))


def test_a_schema_is_kept_with_every_kind_of_sampling(shared_model: Any, ask_writer: Any) -> None:
    kinds: list[dict[str, Any]] = [
        {"temperature": 0.0, "repetition_penalty": 1.3},
        {"temperature": 5.0},
        {"top_k": 1},
        {"top_p": 0.1},
        {"min_p": 0.9},
        {"presence_penalty": 2.0, "frequency_penalty": 2.0},
        {"logit_bias": {ord("}"): -100.0, 2: 100.0}},
    ]
    answers = ask_writer(shared_model("llama"), *(formed(PERSON, seed=1, **kind) for kind in kinds))
    assert sum(answer.reason == "stop" for answer in answers) >= len(kinds) - 2
    assert all(is_person(json.loads(answer.text)) for answer in answers if answer.reason == "stop")


def test_a_grammar_that_becomes_too_complex_ends_in_an_error(shared_model: Any, ask_writer: Any) -> None:
    late = "start: EARLY late\nEARLY: /[ab]{40}/\nlate: /(x{1000}){1000}/"
    with pytest.raises(BadRequest) as caught:
        ask_writer(shared_model("llama"), guided("grammar", late, max_tokens=400))
    assert caught.value.param == "guided_grammar"


def test_a_vocabulary_with_a_blank_before_every_text_keeps_to_forms(shared_model: Any, ask_writer: Any) -> None:
    model = shared_model("sentencepiece")
    ended = [answer.text for answer in ask_writer(model, *(formed(PERSON, seed=seed) for seed in range(8)))]
    assert sum(text.endswith("}") for text in ended) > 2
    assert all(is_person(json.loads(text)) for text in ended if text.endswith("}"))
    assert ask_writer(model, guided("choice", ['name "true" name']))[0].text == 'name "true" name'


def test_markers_are_found_by_name_and_no_text_writes_them(shared_model: Any) -> None:
    spaced, joined = (shared_model(name)._weights.vocabulary for name in ("sentencepiece", "llama"))
    names = ["</s>", "<unk>", "name", "<none>", "nothing"]
    assert [spaced.named(name) for name in names] == [2, 0, None, None, None]
    assert [spaced.is_special(token) for token in range(5)] == [True, True, True, False, False]
    assert [joined.bytes_of(joined.named(name)) for name in ("<|im_end|>", "<pad>")] == [b"<|im_end|>", b"<pad>"]


def test_tokens_for_which_there_is_no_bit_are_ruled_out() -> None:
    logits = numpy.arange(70, dtype=numpy.float32)
    rule_out(logits, None)
    assert numpy.isfinite(logits).all()
    rule_out(logits, bytes([0b1010, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]))
    assert numpy.flatnonzero(numpy.isfinite(logits)).tolist() == [1, 3, *range(32, 64)]
    few = numpy.arange(2, dtype=numpy.float32)
    rule_out(few, bytes([0b11, 0, 0, 0]))
    assert few.tolist() == [0, 1]


def test_guesses_follow_the_form_too(new_model: Any, shared_model: Any, ask_writer: Any) -> None:
    requests = [formed(PERSON, seed=seed) for seed in range(4)]
    guessed = ask_writer(new_model("llama", lookup_tokens=4), *requests)
    plain = ask_writer(shared_model("llama"), *requests)
    assert [text(answer) for answer in guessed] == [text(answer) for answer in plain]


def text(answers: Answers) -> str:
    return answers.text
