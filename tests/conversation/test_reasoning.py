"""Thoughts at the beginning of a turn, in whatever portions the text comes."""

from typing import Any

import pytest

from pieces import Tokens, content, fits, read, splits, thoughts
from tiny.answers import chat_request
from universal_core.conversation import PlainTurn
from universal_core.conversation.constraint import Grammar
from universal_core.conversation.dialect import speller
from universal_core.conversation.grammars import Grammars
from universal_core.conversation.reasoning import (
    REASONING_FORMATS,
    Place,
    ReasoningFormat,
    ThinkingTurn,
    place_of,
    reasoning_format_of,
    thought_rules,
)
from universal_core.errors import LoadFailed

BY_NAME = {form.name: form for form in REASONING_FORMATS}
THINK = BY_NAME["think"]
COLOURS = {"colour": {"json_schema": {"enum": ["red", "blue"]}}}


def turn(form: ReasoningFormat = THINK, place: Place = "before") -> ThinkingTurn:
    return ThinkingTurn(form, place, PlainTurn())


@pytest.mark.parametrize("form", REASONING_FORMATS, ids=lambda form: form.name)
def test_a_thought_and_the_answer_are_told_apart_however_the_text_is_cut(form: ReasoningFormat) -> None:
    text = f"{form.opening[-1]}\nLet me see: </ [ \n\n ok \n{form.closing[-1]}\n\nIt <is> so. "
    for parts in splits(text):
        pieces = read(turn(form), parts)
        assert thoughts(pieces) == "Let me see: </ [ \n\n ok", parts
        assert content(pieces) == "It <is> so. ", parts


@pytest.mark.parametrize(
    ("place", "text", "thought", "answer"),
    [
        ("before", "Hello.", "", "Hello."),
        ("before", "\n Hello.", "", "\n Hello."),
        ("before", "  ", "", "  "),
        ("before", "<thin", "", "<thin"),
        ("before", "<thinner> is <think>no</think> tag", "", "<thinner> is <think>no</think> tag"),
        ("before", "\n<think>a</think>b", "a", "b"),
        ("before", "<think>a</think>\n<think>b</think>c", "ab", "c"),
        ("before", "<think></think>c", "", "c"),
        ("before", "<think>\n\n</think>\n\nc", "", "c"),
        ("before", "<think>a</think>b <think>c</think>", "a", "b <think>c</think>"),
        ("before", "<think>a</think>\n\n", "a", ""),
        ("before", "a</think>b", "", "a</think>b"),
        ("inside", "\na\n</think>\nb", "a", "b"),
        ("inside", "a </thi", "a </thi", ""),
        ("inside", "a\n", "a", ""),
        ("after", "\n<think>a</think>", "", "\n<think>a</think>"),
    ],
)
def test_only_what_stands_first_is_a_thought(place: Place, text: str, thought: str, answer: str) -> None:
    for parts in splits(text):
        pieces = read(turn(place=place), parts)
        assert (thoughts(pieces), content(pieces)) == (thought, answer), parts


def test_half_a_marker_never_gets_out() -> None:
    reader = turn()
    assert reader.feed("<think>yes </thi") == read(turn(), ["<think>yes"], "length")
    assert reader.thinking
    assert reader.feed("nk> \n") == []
    assert not reader.thinking
    assert content(reader.feed("so")) == "so"


@pytest.mark.parametrize(
    ("form", "place", "text", "thought", "answer"),
    [
        (THINK, "inside", "a\n</", "a", ""),
        (THINK, "inside", "</", "", ""),
        (THINK, "before", "<thin", "", ""),
        (THINK, "before", "<think>a</think>\n\n<", "a", ""),
        (THINK, "after", "a <", "", "a <"),
        (BY_NAME["gemma"], "inside", "a<chan", "a", ""),
        # Half a marker of words may be an answer.
        (BY_NAME["granite"], "before", "Here", "", "Here"),
    ],
)
def test_half_a_marker_at_which_a_turn_was_cut_is_no_text(
    form: ReasoningFormat, place: Place, text: str, thought: str, answer: str
) -> None:
    for parts in splits(text):
        pieces = read(turn(form, place), parts, "length")
        assert (thoughts(pieces), content(pieces)) == (thought, answer), parts


def test_a_thought_is_told_as_it_is_written() -> None:
    reader = turn()
    assert [thoughts(reader.feed(part)) for part in ("<think>", "one ", "two", " ", "three")] == [
        *("", "one", " two", "", " three")
    ]


def test_a_turn_that_is_cut_in_the_middle_of_a_thought_has_no_content() -> None:
    for parts in splits("<think>never ends"):
        pieces = read(turn(), parts, "length")
        assert (thoughts(pieces), content(pieces)) == ("never ends", "")


@pytest.mark.parametrize(
    ("tail", "arguments", "place"),
    [
        ("<|assistant|>\n", {}, "before"),
        ("<|assistant|><think>\n", {}, "inside"),
        ("<|assistant|><think>\n\n</think>\n\n", {}, "after"),
        ("<|assistant|></think>", {}, "after"),
        ("say <think> <|assistant|>", {}, "before"),
        ("and so", {"continue_final_message": True}, "after"),
        ("and so", {"continue_final_message": "reasoning_content"}, "inside"),
    ],
)
def test_the_end_of_the_prompt_tells_where_a_turn_begins(tail: str, arguments: dict[str, Any], place: Place) -> None:
    assert place_of(THINK, chat_request("hi", chat_template_kwargs=arguments), tail) == place


def test_a_thought_that_the_client_began_is_continued() -> None:
    request = chat_request("hi", "<think>Well,", chat_template_kwargs={"continue_final_message": True})
    assert place_of(THINK, request, "<think>Well,") == "inside"


def test_the_form_is_told_by_the_template_and_else_by_the_tokens() -> None:
    plain = Tokens()
    assert reasoning_format_of("auto", "{{ '<think>\\n' }}", plain) is THINK
    assert reasoning_format_of("auto", "{% set begin = '<seed:think>' %}", plain) is BY_NAME["seed"]
    assert reasoning_format_of("auto", "[THINK] <think>", plain) is BY_NAME["magistral"]
    assert reasoning_format_of("auto", "'<|channel>thought\\n'", plain) is BY_NAME["gemma"]
    assert reasoning_format_of("auto", "hello", Tokens(["<think>", "</think>"])) is THINK
    assert reasoning_format_of("auto", "hello", Tokens(["<think>"])) is None
    assert reasoning_format_of("none", "<think>", plain) is None
    assert reasoning_format_of("granite", "<think>", plain) is BY_NAME["granite"]


def test_a_name_that_is_no_form_is_refused_with_those_that_are() -> None:
    with pytest.raises(LoadFailed, match=r"reasoning_format 'thnik' is none of auto, none, harmony, .*think"):
        reasoning_format_of("thnik", "", Tokens())


@pytest.mark.parametrize("form", REASONING_FORMATS, ids=lambda form: form.name)
@pytest.mark.parametrize("special", [True, False], ids=["tokens", "letters"])
def test_a_grammar_begins_after_the_thought(form: ReasoningFormat, special: bool) -> None:
    vocabulary = Tokens(form.markers if special else ())

    def may(place: Place, text: str) -> bool:
        rules = thought_rules(form, place, speller(vocabulary)) + "turn: @colour\n"
        constraint = Grammars(vocabulary).follow(Grammar(rules, COLOURS))
        return fits(constraint, vocabulary.encode(text, special=False))

    thought = f"Red? {{}}\n é </x{form.closing[0]}\n\n"
    assert may("before", form.opening[0] + thought + '"red"')
    assert may("before", '"blue"')
    assert not may("before", form.opening[0] + '"red"')
    assert not may("before", form.opening[0] + thought + '"green"')
    assert may("inside", thought + '"red"')
    assert not may("inside", '"red"')
    assert may("after", '"red"')
    assert not may("after", thought + '"red"')
