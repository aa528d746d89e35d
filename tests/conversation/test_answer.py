"""From tokens to events: thoughts, calls and content apart, with the log-probabilities and counts of each."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from pieces import Tokens
from tiny.answers import chat_request
from universal_core import Event, Finish, Reasoning, Text, Tool, ToolCall
from universal_core.conversation import Answer, Choice, TaggedDialect, dialect_of
from universal_core.conversation.harmony import HarmonyTurn
from universal_core.conversation.reasoning import REASONING_FORMATS
from universal_core.conversation.tools import HERMES
from universal_core.messages import FinishReason

THINK = next(form for form in REASONING_FORMATS if form.name == "think")
TOOLS = (Tool(name="look", parameters={"type": "object"}),)
CALL = '<tool_call>\n{"name": "look", "arguments": {"at": 1}}\n</tool_call>'
VOCABULARIES = {
    "letters": Tokens(),
    "special": Tokens(["<think>", "</think>", "<tool_call>", "</tool_call>"]),
    "words": Tokens(words=["<think>", "</think>", "<tool_call>", "</tool_call>", "<th", "ink>\n", " so", "\n</"]),
}


def answer(vocabulary: Tokens, tail: str = "", **fields: Any) -> Answer:
    request = chat_request("hi", **fields)
    dialect = TaggedDialect(vocabulary, None, THINK, HERMES)
    return Answer(
        vocabulary, stops=request.stop, parser=dialect.parser(request, tail), markers=dialect.markers(request)
    )


def write(told: Answer, tokens: Iterable[int], reason: FinishReason = "stop", *, scored: bool = False) -> list[Event]:
    events: list[Event] = []
    for place, token in enumerate(tokens):
        events += told.push(Choice(token, -float(place) if scored else None))
        if told.stopped:
            return events + told.finish("stop")
    return events + told.finish(reason)


def say(name: str, text: str, reason: FinishReason = "stop", **fields: Any) -> list[Event]:
    vocabulary = VOCABULARIES[name]
    return write(answer(vocabulary, **fields), vocabulary.encode(text, special=False), reason)


def text(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def thought(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Reasoning))


def ending(events: Sequence[Event]) -> Finish:
    last = events[-1]
    assert isinstance(last, Finish)
    return last


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_turn_is_the_same_however_its_markers_are_tokens(name: str) -> None:
    events = say(name, f"<think>\nDéjà vu so\n</think>\n\nIt is so. {CALL}", tools=TOOLS)
    assert (thought(events), text(events)) == ("Déjà vu so", "It is so.")
    calls = [event for event in events if isinstance(event, ToolCall)]
    assert (calls[0].name, "".join(call.arguments for call in calls)) == ("look", '{"at": 1}')
    assert ending(events).reason == "tool_calls"


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_call_without_an_id_gets_a_new_one_with_its_name_alone(name: str) -> None:
    events = [*say(name, CALL, tools=TOOLS), *say(name, CALL, tools=TOOLS)]
    ids = [event.id for event in events if isinstance(event, ToolCall) and event.name]
    assert len(set(ids)) == 2
    assert all(id is not None and re.fullmatch("call_[A-Za-z0-9]{24}", id) for id in ids)
    assert all(event.id is None for event in events if isinstance(event, ToolCall) and event.name is None)


def test_a_call_that_is_cut_off_ends_by_its_length() -> None:
    assert ending(say("letters", f"{CALL}\n", "length", tools=TOOLS)).reason == "length"


@pytest.mark.parametrize("name", VOCABULARIES)
def test_where_no_tool_may_be_called_markers_of_calls_are_no_markers(name: str) -> None:
    events = say(name, f"so: {CALL}")
    assert ending(events).reason == "stop"
    # A special token has no text for who does not look for it.
    assert text(events) == f"so: {CALL}".replace("<tool_call>" if name == "special" else "?", "").replace(
        "</tool_call>" if name == "special" else "?", ""
    )


@pytest.mark.parametrize("name", VOCABULARIES)
def test_half_a_marker_is_what_it_says_where_a_turn_ends_with_it(name: str) -> None:
    events = say(name, "<think>a</think>b<tool_ca", "stop", tools=TOOLS)
    assert (text(events), ending(events).reason) == ("b<tool_ca", "stop")
    assert text(say(name, "<thi", "stop")) == "<thi"
    assert thought(say(name, "<think>a</th", "stop")) == "a</th"


@pytest.mark.parametrize("name", VOCABULARIES)
def test_half_a_marker_is_left_out_where_a_turn_is_cut_in_it(name: str) -> None:
    events = say(name, "<think>a</think>b<tool_ca", "length", tools=TOOLS)
    assert (text(events), ending(events).reason) == ("b", "length")
    assert text(say(name, "<thi", "length")) == ""
    assert thought(say(name, "<think>a</th", "length")) == "a"


def test_half_a_character_before_a_marker_is_none() -> None:
    vocabulary = VOCABULARIES["special"]
    tokens = [*vocabulary.encode("<think>", special=False), 0xC3, *vocabulary.encode("</think>é", special=False)]
    events = write(answer(vocabulary), tokens)
    assert (thought(events), text(events)) == ("\N{REPLACEMENT CHARACTER}", "é")


@pytest.mark.parametrize("name", VOCABULARIES)
def test_stop_strings_are_looked_for_in_the_content_alone(name: str) -> None:
    events = say(name, f"<think>END</think>one {CALL}", stop=("END", "look"), tools=TOOLS)
    assert (thought(events), text(events), ending(events).reason) == ("END", "one", "tool_calls")
    events = say(name, "<think>a</think>one END two", stop=("END",))
    assert (text(events), ending(events)) == ("one ", Finish(reason="stop", stop="END"))


def test_what_is_held_for_a_stop_string_comes_before_the_call() -> None:
    events = say("letters", f"one E{CALL}", stop=("END",), tools=TOOLS)
    kinds = [type(event) for event in events]
    assert text(events) == "one E"
    assert kinds.index(ToolCall) > max(place for place, kind in enumerate(kinds) if kind is Text)


@pytest.mark.parametrize("name", VOCABULARIES)
def test_only_tokens_of_the_content_have_log_probabilities(name: str) -> None:
    vocabulary = VOCABULARIES[name]
    turn = f"<think>\nwhy é\n</think>\n\nIt is é so. {CALL}"
    tokens = vocabulary.encode(turn, special=False)
    events = write(answer(vocabulary, tools=TOOLS), tokens, scored=True)
    found = [entry for event in events if isinstance(event, Text) for entry in event.logprobs]
    assert b"".join(entry.data for entry in found).decode() == "It is é so."
    first = len(vocabulary.encode(turn.partition("It is")[0], special=False))
    assert [-entry.logprob for entry in found] == [float(first + place) for place in range(len(found))]


def test_each_token_goes_out_with_the_text_in_which_it_begins() -> None:
    vocabulary = Tokens(words=["</think>\n", "\nIt", " is"])
    tokens = vocabulary.encode("<think>a</think>\n\nIt is so", special=False)
    events = write(answer(vocabulary, stop=("s s",)), tokens, scored=True)
    texts = [event for event in events if isinstance(event, Text)]
    pairs = [(event.text, b"".join(entry.data for entry in event.logprobs)) for event in texts]
    # The token "\nIt" begins before the content, so it has no place in it.
    assert pairs == [("It", b""), (" i", b" is")]


def test_without_thoughts_all_tokens_have_log_probabilities() -> None:
    events = write(answer(VOCABULARIES["letters"]), " <a> é".encode(), scored=True)
    found = [entry for event in events if isinstance(event, Text) for entry in event.logprobs]
    assert b"".join(entry.data for entry in found).decode() == text(events) == " <a> é"


@pytest.mark.parametrize(
    ("written", "counted"),
    [
        ("<think>abc</think>\n\nde", len("<think>abc</think>")),
        ("\n<think>abc</think>de", len("\n<think>abc</think>")),
        ("<think>abc</think>\n<think>d</think>e", len("<think>abc</think>\n<think>d</think>")),
        ("<thinner", 0),
        ("<think>abc", len("<think>abc")),
        ("abc <think>", 0),
    ],
)
def test_tokens_of_thoughts_count_with_their_markers(written: str, counted: int) -> None:
    told = answer(VOCABULARIES["letters"])
    write(told, written.encode())
    assert told.reasoning_tokens == counted


def test_a_marker_that_is_a_token_counts_once() -> None:
    vocabulary = VOCABULARIES["special"]
    told = answer(vocabulary)
    write(told, vocabulary.encode("<think>abc</think>\n\nde", special=False))
    assert told.reasoning_tokens == 5


def test_the_tokens_of_a_thought_that_the_prompt_opened_count_from_the_first() -> None:
    told = answer(VOCABULARIES["letters"], tail="<think>\n")
    write(told, b"ab</think>c")
    assert told.reasoning_tokens == len("ab</think>")


FRAGMENTS = (
    *("<think>", "</think>", "<think", "</", "<tool_call>", "</tool_call>", '{"name": "look", ', '"arguments": {}}'),
    *("<|start|>", "assistant", "<|channel|>", "analysis", "final", "commentary to=functions.look ", "<|message|>"),
    *("<|end|>", "<|call|>", "[TOOL_CALLS]", "[", "]", "look", "\n", " ", "é", "so"),
)


@pytest.mark.parametrize("reasoning", ["think", "harmony", "granite", "magistral"])
@given(
    parts=strategies.lists(strategies.sampled_from(FRAGMENTS), max_size=12),
    reason=strategies.sampled_from(["stop", "length"]),
    free=strategies.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_whatever_a_model_writes_is_told(reasoning: str, parts: list[str], reason: FinishReason, free: bool) -> None:
    vocabulary = Tokens([fragment for fragment in FRAGMENTS if fragment.startswith("<|")])
    dialect = dialect_of(vocabulary, None, reasoning_format=reasoning)
    request = chat_request("hi", tools=TOOLS)
    parser: Any = dialect.parser(request, "<|start|>assistant")
    if free and reasoning == "harmony":
        parser = HarmonyTurn("<|start|>assistant", frozenset({"look"}))
    told = Answer(vocabulary, parser=parser, markers=dialect.markers(request))
    events = write(told, vocabulary.encode("".join(parts), special=False), reason, scored=True)
    assert ending(events) is events[-1]
    assert all((event.name is None) == (event.id is None) for event in events if isinstance(event, ToolCall))
    letters = iter("".join(parts))
    assert all(letter in letters for letter in text(events)), "nothing is made up, and all in its order"
