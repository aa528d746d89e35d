"""Answers in a form: whatever a random model writes is valid, or cut off by its length."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given

from schemas import SCHEMAS, Schema, is_valid, same_every_time
from tiny.answers import chat_request, completion
from tiny.causal import make_llama
from tiny.folder import info_of
from tiny.forms import PERSON, formed, guided, is_person
from tiny.tokenizers import sentencepiece_tokenizer
from universal_core import BadRequest, ResponseFormat, Text
from universal_text.causal.model import CausalModel
from universal_text.causal.sampling.adjusting import rule_out
from universal_text.causal.vocabulary import TokenizerVocabulary
from universal_text.options import CausalOptions


@pytest.fixture(scope="module")
def writer(folder: Any) -> Iterator[CausalModel]:
    with closing(CausalModel(info_of(folder("llama")), CausalOptions(device="cpu", dtype="float32"))) as model:
        yield model


def test_whatever_is_written_is_valid(writer: CausalModel, ask: Any) -> None:
    outcomes: Counter[str] = Counter()

    @given(SCHEMAS)
    @same_every_time(20)
    def check(schema: Schema) -> None:
        for answer in ask(writer, *(formed(schema, seed=seed, max_tokens=80) for seed in range(2))):
            outcomes[answer.reason] += 1
            assert answer.reason == "length" or is_valid(answer.text, schema), f"{answer.text} by {schema}"

    check()
    assert outcomes["stop"] > 10, "a random model writes strings and numbers at great length"


def test_a_schema_is_kept_with_every_kind_of_sampling(writer: CausalModel, ask: Any) -> None:
    kinds: list[dict[str, Any]] = [
        {"temperature": 0.0, "repetition_penalty": 1.3},
        {"temperature": 5.0},
        {"top_k": 1},
        {"top_p": 0.1},
        {"min_p": 0.9},
        {"presence_penalty": 2.0, "frequency_penalty": 2.0},
        {"logit_bias": {ord("}"): -100.0, 2: 100.0}},
    ]
    answers = ask(writer, *(formed(PERSON, seed=1, **kind) for kind in kinds))
    assert sum(answer.reason == "stop" for answer in answers) >= len(kinds) - 2
    assert all(is_person(json.loads(answer.text)) for answer in answers if answer.reason == "stop")


def test_without_a_schema_the_answer_is_an_object(writer: CausalModel, ask: Any) -> None:
    ended = [answer for answer in ask(writer, *(formed(seed=seed) for seed in range(12))) if answer.reason == "stop"]
    assert ended
    assert all(isinstance(json.loads(answer.text), dict) for answer in ended)


def test_several_answers_each_follow_the_schema_by_themselves(writer: CausalModel, ask: Any) -> None:
    (answer,) = ask(writer, formed(PERSON, n=4, seed=5))
    texts = [found.text for found in answer.by_index.values() if found.reason == "stop"]
    assert len(set(texts)) == len(texts) >= 2
    assert all(is_person(json.loads(text)) for text in texts)


def test_answers_beside_one_in_a_form_are_what_they_are_alone(writer: CausalModel, ask: Any) -> None:
    requests = [completion("the quick", max_tokens=20), formed(PERSON, seed=1), guided("choice", ["a", "b"], seed=2)]
    alone = [ask(writer, request)[0].by_index for request in requests]
    assert [answer.by_index for answer in ask(writer, *requests)] == alone


@pytest.mark.parametrize(
    "expression",
    ["[ab]{2,4}", "a/b\\/c", "x\ny", "(?i)yes|no", "^\\d{2}$", '[^"\\\\]{1,3}!', "(a|ab)(c|bcd)", "é+😀?"],
)
def test_a_regular_expression_matches_the_whole_answer(expression: str, writer: CausalModel, ask: Any) -> None:
    answers = ask(writer, *(guided("regex", expression, seed=seed) for seed in range(6)))
    ended = [answer.text for answer in answers if answer.reason == "stop"]
    assert ended
    assert all(re.fullmatch(expression, text) for text in ended)


@pytest.mark.parametrize(
    "choices", [["yes", "yes please", "no"], ['"quoted"\\', "<|im_end|>", "tab\t", "é😀"], ["one"]]
)
def test_a_choice_is_one_of_the_choices_as_it_stands(choices: list[str], writer: CausalModel, ask: Any) -> None:
    answers = ask(writer, *(guided("choice", choices, temperature=9.0, seed=seed) for seed in range(12)))
    assert all(answer.reason == "stop" for answer in answers)
    assert {answer.text for answer in answers} <= set(choices)
    assert len({answer.text for answer in answers}) >= min(2, len(choices))


@pytest.mark.parametrize(
    "text",
    ['start: greeting " " NAME\ngreeting: "hi" | "bye"\nNAME: /[a-z]{1,3}/', 'root ::= ("hi" | "bye") " " [a-z]{1,3}'],
    ids=["lark", "gbnf"],
)
def test_a_grammar_says_what_may_be_said(text: str, writer: CausalModel, ask: Any) -> None:
    answers = ask(writer, *(guided("grammar", text, seed=seed) for seed in range(6)))
    assert all(re.fullmatch("(hi|bye) [a-z]{1,3}", answer.text) for answer in answers)


def test_a_stop_string_ends_an_answer_in_a_form_before_its_end(writer: CausalModel, ask: Any) -> None:
    (answer,) = ask(writer, formed(PERSON, seed=1, stop=('"age',)))
    assert answer.reason == "stop"
    assert answer.text.startswith('{"name"') or answer.text.startswith("{")
    assert '"age' not in answer.text


def test_logprobs_tell_what_the_model_thinks_before_the_form_rules_out(writer: CausalModel, ask: Any) -> None:
    (answer,) = ask(writer, guided("choice", ["b"], logprobs=1))
    (told, *_) = answer.by_index[0].logprobs
    assert (answer.text, told.token) == ("b", "b")
    assert told.logprob < told.alternatives[0].logprob


def test_an_answer_in_a_form_is_streamed(writer: CausalModel) -> None:
    async def first() -> str:
        async with aclosing(writer.chat(formed(PERSON, seed=1))) as events:
            return next(event.text for event in [await anext(events)] if isinstance(event, Text))

    assert asyncio.run(first()).startswith("{")


def test_a_grammar_that_becomes_too_complex_ends_in_an_error_and_harms_nobody_else(
    writer: CausalModel, ask: Any
) -> None:
    late = guided("grammar", "start: EARLY late\nEARLY: /[ab]{40}/\nlate: /(x{1000}){1000}/", max_tokens=400)
    free = completion("the quick", max_tokens=60)

    async def both() -> list[Any]:
        async def read(request: Any) -> str:
            async with aclosing(writer.complete(request)) as events:
                return "".join([event.text async for event in events if isinstance(event, Text)])

        return await asyncio.gather(read(late), read(free), return_exceptions=True)

    failure, text = asyncio.run(both())
    assert isinstance(failure, BadRequest)
    assert (failure.param, text) == ("guided_grammar", ask(writer, free)[0].text)


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (guided("regex", "("), "guided_regex"),
        (guided("grammar", "root ::= ("), "guided_grammar"),
        (guided("json", {"not": {}}), "guided_json"),
        (formed({"uniqueItems": True}), "response_format.json_schema.schema"),
    ],
    ids=["regex", "grammar", "json", "response_format"],
)
def test_a_form_that_cannot_be_followed_is_refused_by_name(
    request_: Any, param: str, writer: CausalModel, ask: Any
) -> None:
    with pytest.raises(BadRequest) as caught:
        ask(writer, request_)
    assert caught.value.param == param


def test_a_vocabulary_with_a_blank_before_every_text_keeps_to_forms(tmp_path: Path, open_model: Any, ask: Any) -> None:
    tokenizer = sentencepiece_tokenizer()
    make_llama(tmp_path, vocab_size=len(tokenizer) + 20)
    tokenizer.save_pretrained(tmp_path)
    model = open_model(tmp_path)
    requests = [formed(PERSON, seed=seed, max_tokens=200) for seed in range(8)]
    ended = [answer.text for answer in ask(model, *requests) if answer.reason == "stop"]
    assert ended
    assert all(is_person(json.loads(text)) for text in ended)
    forced = guided("choice", ['name "true" name'])
    assert ask(model, forced)[0].text == 'name "true" name'


def test_markers_are_found_by_name_and_no_text_writes_them(tmp_path: Path, writer: CausalModel) -> None:
    spaced = TokenizerVocabulary(sentencepiece_tokenizer(), 300, frozenset((2,)))
    names = ["</s>", "<unk>", "name", "<none>", "nothing"]
    assert [spaced.named(name) for name in names] == [2, 0, None, None, None]
    assert [spaced.is_special(token) for token in range(5)] == [True, True, True, False, False]
    joined = writer._vocabulary
    assert [joined.bytes_of(joined.named(name)) for name in ("<|im_end|>", "<pad>")] == [b"<|im_end|>", b"<pad>"]


def test_tokens_for_which_there_is_no_bit_are_ruled_out() -> None:
    logits = torch.arange(70.0).repeat(2, 1)
    rule_out(logits, [bytes([0b1010, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]), None])
    assert logits[0].isfinite().nonzero().flatten().tolist() == [1, 3, *range(32, 64)]
    assert logits[1].tolist() == [*range(70)]
    few = torch.arange(2.0)[None]
    rule_out(few, [bytes([0b11, 0, 0, 0])])
    assert few.tolist() == [[0, 1]]


def test_a_form_and_a_free_answer_may_have_the_same_seed(writer: CausalModel, ask: Any) -> None:
    form = ResponseFormat(type="json_object")
    one, other = ask(writer, *[chat_request("hello", seed=3, max_tokens=40, response_format=form)] * 2)
    assert one.by_index == other.by_index
