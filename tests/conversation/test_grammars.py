"""Grammars over a vocabulary of bytes: what may come next, what the rules can rely on, and what is refused."""

import json
import re
from typing import Any

import pytest

from letters import CALL, CALLED, END, NAMES, THINK, THOUGHT, TURN, Letters, allowed, fits
from universal_core import BadRequest
from universal_core.conversation import Constraint, Grammar
from universal_core.conversation.grammars import Grammars

NUMBER = {
    "type": "object",
    "properties": {"x": {"type": "integer"}},
    "required": ["x"],
    "additionalProperties": False,
}
PARTS = {"number": {"json_schema": NUMBER}, "word": {"lark_grammar": "start: /[a-z]+/"}}
ENDS = {END, TURN}
ONE = '{"x":1}'


@pytest.fixture(scope="module")
def grammars() -> Grammars:
    return Grammars(Letters())


def follow(grammars: Grammars, rules: str, parts: dict[str, Any] | None = None) -> Constraint:
    return grammars.follow(Grammar(rules, PARTS if parts is None else parts, {"number": "field"}))


def write(constraint: Constraint, text: str) -> Constraint:
    for letter in text.encode():
        constraint.accept(letter)
    return constraint


def test_only_tokens_that_keep_to_the_form_may_come(grammars: Grammars) -> None:
    form = follow(grammars, "start: @number")
    assert allowed(form) == {ord("{")}
    assert fits(form, ONE)
    assert fits(form, '{"x": -12}')
    assert not fits(form, '{"y":1}')
    assert not fits(form, '{"x":1')


def test_an_answer_ends_where_it_is_complete_and_nowhere_else(grammars: Grammars) -> None:
    form = follow(grammars, "start: /[ab]{2,3}/")
    assert not allowed(form) & ENDS
    assert allowed(write(form, "ab")) == {ord("a"), ord("b"), *ENDS}
    assert allowed(write(form, "a")) == ENDS


def test_a_token_of_several_letters_may_cross_from_one_rule_into_the_next(grammars: Grammars) -> None:
    assert 265 in allowed(follow(grammars, 'start: "a" rest\nrest: "b" | "c"'))


def test_a_text_without_a_choice_is_spelled_as_the_model_spells_it(grammars: Grammars) -> None:
    assert allowed(follow(grammars, 'start: "abc"')) == {ord("a")}, "the vocabulary encodes letter by letter"
    assert allowed(Grammars(Blank()).follow(Grammar('start: "abc"'))) == {265}


class Blank(Letters):
    """Puts a blank in front of every text, as the tokenizers of Llama 2 do, and joins letters to words."""

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of blank and text."""
        pieces = re.findall(b"ab|(?s:.)", f" {text}".encode())
        return [265 if piece == b"ab" else piece[0] for piece in pieces]


class Lost(Letters):
    """Cannot encode what it decodes."""

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Return some other text."""
        return [ord("?")]


@pytest.mark.parametrize("vocabulary", [Letters(), Blank(), Lost()], ids=["plain", "blank", "lost"])
@pytest.mark.parametrize("text", ["abc", "<think>ab", " ab", "é😀"])
def test_whatever_the_tokenizer_does_to_a_text_the_form_is_kept(vocabulary: Letters, text: str) -> None:
    form = Grammars(vocabulary).follow(Grammar(f"start: {json.dumps(text)}"))
    written: list[int] = []
    while not allowed(form) & ENDS:
        written.append(min(allowed(form)))
        form.accept(written[-1])
    assert vocabulary.decode_all(written) == text
    assert not set(written) & NAMES.keys()


@pytest.mark.parametrize("rule", ["/(?s:.*)/", '"<think>"', "/<th.*/", '"<" "think>"'])
def test_text_never_derives_a_special_token(rule: str, grammars: Grammars) -> None:
    form = follow(grammars, f"start: {rule}")
    assert not allowed(form) & (NAMES.keys() - ENDS)


def test_tokens_are_named_by_their_ids_and_text_ends_before_one(grammars: Grammars) -> None:
    form = follow(grammars, f"start: <[{THINK}]> TEXT <[{THOUGHT}]> @number\nTEXT: /(?s:.*)/")
    assert allowed(form) == {THINK}
    assert fits(form, THINK, "hm, {", THOUGHT, ONE)
    assert fits(form, THINK, THOUGHT, ONE)
    assert not fits(form, THINK, "hm", ONE)


def test_parts_repeat_between_tokens_and_text(grammars: Grammars) -> None:
    form = follow(grammars, f"start: (TEXT | <[{CALL}]> @number <[{CALLED}]>)*\nTEXT: /(?s:.+)/")
    assert fits(form, "Well.", CALL, ONE, CALLED, CALL, ONE, CALLED)
    assert fits(form)
    assert not fits(form, CALL, "{", CALLED)


@pytest.mark.parametrize("how", ['suffix="</done>"', 'stop="</done>"'])
def test_text_runs_up_to_a_marker_in_letters(how: str, grammars: Grammars) -> None:
    form = follow(grammars, f"start: thought @number\nthought[{how}]: /(?s:.*)/")
    assert fits(form, "a < b </don </done>", ONE)
    assert not fits(form, ONE)


def test_a_lazy_rule_ends_at_its_first_match(grammars: Grammars) -> None:
    form = follow(grammars, "start: thought @number\nthought[lazy]: /(?s:.*)<\\/done>/")
    assert fits(form, "hm</done>", ONE)


def test_an_expression_takes_all_it_can(grammars: Grammars) -> None:
    assert not fits(follow(grammars, 'start: WORD "stop"\nWORD: /[a-z ]+/'), "so stop")


def test_a_rule_is_cut_off_after_so_many_tokens(grammars: Grammars) -> None:
    form = follow(grammars, "start: some @number\nsome[max_tokens=2]: /[a-z]*/")
    assert fits(form, "ab", ONE)
    assert not fits(form, "abc", ONE)


def test_a_part_may_be_a_grammar_of_its_own(grammars: Grammars) -> None:
    form = follow(grammars, 'start: @word "=" @number ";"')
    assert fits(form, "ab=", ONE, ";")


def test_any_of_several_ends_ends_an_answer_and_a_rule_may_ask_for_one(grammars: Grammars) -> None:
    form = follow(grammars, f'start: "a" <[{TURN}]> | "b"')
    assert allowed(write(form.copy(), "a")) == {TURN}
    assert allowed(write(form.copy(), "b")) == ENDS
    form.accept(TURN)


def test_a_mask_says_nothing_of_tokens_beyond_the_vocabulary(grammars: Grammars) -> None:
    assert max(allowed(follow(grammars, "start: /(?s:.*)/"))) < Letters().size


def test_a_grammar_is_compiled_once_and_its_copies_know_nothing_of_each_other(
    grammars: Grammars, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write(follow(grammars, "start: @number"), '{"x"')
    again = follow(grammars, "start: @number")
    assert (allowed(again), ord(":") in allowed(first)) == ({ord("{")}, True)
    monkeypatch.setattr(Grammars, "_compile", lambda *_: pytest.fail("compiled again"))
    follow(grammars, "start: @number")


def test_only_the_grammars_asked_for_last_are_kept() -> None:
    grammars = Grammars(Letters())
    for number in range(80):
        follow(grammars, f'start: "{number}"')
    assert len(grammars._kept) == 64
    long = "x" * 700_000
    for number in range(3):
        follow(grammars, f'// {number} {long}\nstart: "a"')
    assert len(grammars._kept) == 2


def test_errors_name_the_field_that_the_part_came_from(grammars: Grammars) -> None:
    number = {"type": "integer", "minimum": 5, "maximum": 3}
    schema = {"type": "object", "properties": {"a": number}, "required": ["a"]}
    wrong = {"good": PARTS["word"], "bad": {"json_schema": schema}}
    with pytest.raises(BadRequest) as caught:
        grammars.follow(Grammar("start: @good @bad", wrong, {"good": "one", "bad": "tools[0]"}))
    assert caught.value.param == "tools[0]"
    assert "#/properties/a" in caught.value.message
    assert "minimum (5) is greater than maximum (3)" in caught.value.message


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("start: missing", "missing"),
        ("start: @missing", "missing"),
        ("start: /[/", "unclosed"),
        ("start: /(?=a)b/", "look-around"),
        ("start: <[9999]>", "9999"),
        ('start: s\ns: "a" s', "too many"),
        ("start: /(x{1000}){1000}/", "too many"),
        ('start: %json {"not": {}}', "not"),
        ('start: %json {"not": {}, "x-guidance": {"lenient": true}}', "not"),
    ],
)
def test_what_cannot_be_followed_is_refused(rules: str, words: str, grammars: Grammars) -> None:
    with pytest.raises(BadRequest) as caught:
        follow(grammars, rules, {})
    assert words in caught.value.message.lower()


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": [f"value {number} of many {number * 7919}" for number in range(100_000)]},
        {"type": "string", "pattern": "^(x{1000}){1000}$"},
    ],
    ids=["huge", "explosive"],
)
def test_a_schema_that_costs_too_much_is_refused(schema: Any, grammars: Grammars) -> None:
    with pytest.raises(BadRequest, match="field"):
        grammars.follow(Grammar("start: @big", {"big": {"json_schema": schema}}, {"big": "field"}))


def test_a_grammar_that_turns_out_too_complex_fails_the_answer_rather_than_ending_it(grammars: Grammars) -> None:
    form = follow(grammars, "start: EARLY late\nEARLY: /[ab]{6}/\nlate: /(x{1000}){1000}/", {})

    def go_on() -> None:
        for letter in "ababab" + "x" * 3000:
            form.mask()
            form.accept(ord(letter))

    with pytest.raises(BadRequest, match="too many"):
        go_on()


def test_a_token_that_may_not_come_fails_the_answer(grammars: Grammars) -> None:
    with pytest.raises(BadRequest):
        follow(grammars, "start: @number").accept(ord("x"))


class Narrow(Letters):
    """Has no token that begins an object."""

    def bytes_of(self, token: int) -> bytes:
        return b"" if token == ord("{") else super().bytes_of(token)


class Endless(Letters):
    """Has no token that ends an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = frozenset()


@pytest.mark.parametrize("vocabulary", [Narrow(), Endless()], ids=["narrow", "endless"])
def test_a_vocabulary_that_cannot_write_the_form_is_told(vocabulary: Letters) -> None:
    with pytest.raises(BadRequest, match="token"):
        Grammars(vocabulary).follow(Grammar("start: @number", PARTS, {"number": "field"}))


def test_whitespace_is_what_models_write_and_no_more(grammars: Grammars) -> None:
    form = grammars.follow(Grammar("start: @any", {"any": {"json_schema": {"type": "object"}}}))
    value = {"a": [1, 2, {"b": None}], "c": {}}
    for text in (json.dumps(value), json.dumps(value, indent=4), json.dumps(value, separators=(",", ":"))):
        assert fits(form, text)
    assert not fits(form, '{"a":  1}')
    assert not fits(form, '{"a":\n\n1}')
