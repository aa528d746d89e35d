"""Thoughts that are closed when their tokens are used up."""

from typing import Any

import pytest

from pieces import END, Tokens, allows
from tiny.answers import chat_request
from universal_core import ChatRequest
from universal_core.conversation import Constraint, Dialect, Grammar
from universal_core.conversation.budget import ThinkingBudget
from universal_core.conversation.dialects import dialect_of
from universal_core.conversation.grammars import Grammars
from universal_core.conversation.harmony import MARKERS

VOCABULARIES = {
    "special": Tokens(["<think>", "</think>"]),
    "letters": Tokens(),
    "words": Tokens(words=["<think>", "</think>", "</think>\n\n", "\n</"]),
}


def budget(
    vocabulary: Tokens, tokens: int, tail: str = "", form: Grammar | None = None, name: str = "think"
) -> ThinkingBudget:
    request: ChatRequest = chat_request("hi")
    dialect: Dialect = dialect_of(vocabulary, None, reasoning_format=name)
    end = dialect.thought_end(request, tail)
    assert end is not None
    grammar = dialect.grammar(request, tail, form)
    return ThinkingBudget(
        vocabulary,
        dialect.parser(request, tail),
        dialect.markers(request),
        tokens,
        vocabulary.encode(end, special=False),
        Grammars(vocabulary).follow(grammar) if grammar else None,
    )


def write(constraint: Constraint, tokens: Any) -> None:
    for token in tokens:
        assert allows(constraint, token), token
        constraint.accept(token)


def forced(constraint: Constraint, size: int) -> list[int]:
    """Return the tokens that come by themselves, one after another."""
    found: list[int] = []
    while len(only := [token for token in range(size) if allows(constraint, token)]) == 1 and only != [END]:
        constraint.accept(only[0])
        found += only
    return found


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize("opened", [True, False])
def test_a_thought_ends_with_the_last_token_of_its_budget(name: str, opened: bool) -> None:
    vocabulary = VOCABULARIES[name]
    constraint = budget(vocabulary, 3, "<think>\n" if opened else "")
    if not opened:
        write(constraint, vocabulary.encode("<think>", special=False))
    write(constraint, b"ab")
    assert constraint.mask() is None
    write(constraint, b"c")
    assert vocabulary.decode_all(forced(constraint, vocabulary.size)) == "\n</think>\n\n"
    assert constraint.mask() is None


def test_a_budget_of_nothing_closes_at_once() -> None:
    vocabulary = VOCABULARIES["special"]
    assert vocabulary.decode_all(forced(budget(vocabulary, 0, "<think>\n"), vocabulary.size)) == "\n</think>\n\n"


def test_a_thought_that_ends_by_itself_is_left_alone() -> None:
    vocabulary = VOCABULARIES["special"]
    constraint = budget(vocabulary, 3, "<think>\n")
    write(constraint, vocabulary.encode("a</think>many more words", special=False))
    assert constraint.mask() is None


def test_all_thoughts_of_a_turn_share_the_budget() -> None:
    vocabulary = VOCABULARIES["special"]
    constraint = budget(vocabulary, 3)
    write(constraint, vocabulary.encode("<think>a</think><think>b", special=False))
    assert vocabulary.decode_all(forced(constraint, vocabulary.size)) == "\n</think>\n\n"


def test_the_form_comes_behind_the_thought() -> None:
    vocabulary = VOCABULARIES["special"]
    form = Grammar("start: @answer", {"answer": {"json_schema": {"const": "yes"}}})
    constraint = budget(vocabulary, 2, "<think>\n", form)
    write(constraint, b"ab")
    assert vocabulary.decode_all(forced(constraint, vocabulary.size)) == "\n</think>\n\n"
    write(constraint, b'"yes"')
    assert allows(constraint, END)


def test_each_of_several_answers_has_the_whole_budget() -> None:
    vocabulary = VOCABULARIES["special"]
    first = budget(vocabulary, 2, "<think>\n")
    second = first.copy()
    write(first, b"ab")
    assert first.mask() is not None
    assert second.mask() is None
    third = first.copy()
    assert forced(first, vocabulary.size) == forced(third, vocabulary.size)


def test_a_thought_of_gpt_oss_ends_with_the_header_of_the_answer() -> None:
    vocabulary = Tokens(MARKERS, ends=["<|return|>", "<|call|>"])
    constraint = budget(vocabulary, 2, "<|start|>assistant", name="harmony")
    write(constraint, vocabulary.encode("<|channel|>analysis<|message|>ab", special=False))
    closing = vocabulary.decode_all(forced(constraint, vocabulary.size))
    assert closing == "<|end|><|start|>assistant<|channel|>final<|message|>"
    assert constraint.mask() is None


@pytest.mark.parametrize("form", [None, Grammar("start: /[a-z]+/")])
def test_a_character_is_completed_first(form: Grammar | None) -> None:
    vocabulary = VOCABULARIES["special"]
    constraint = budget(vocabulary, 2, "<think>\n", form)
    write(constraint, "a€".encode())
    assert vocabulary.decode_all(forced(constraint, vocabulary.size)) == "\n</think>\n\n"


def test_a_character_that_is_never_completed_is_given_up() -> None:
    constraint = budget(VOCABULARIES["special"], 1, "<think>\n")
    write(constraint, [0xE2, 0xE2, 0xE2])
    assert constraint.mask() is None
    write(constraint, [0xE2])
    assert constraint.mask() is not None
