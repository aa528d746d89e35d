"""Turns of gpt-oss: messages in channels, in whatever portions the text comes."""

from typing import Any

import pytest

from pieces import END, Tokens, calls, content, fits, read, splits, thoughts
from tiny.answers import chat_request
from tiny.templates import HARMONY
from universal_core import ChatRequest, ResponseFormat, Tool
from universal_core.conversation import ChatTemplate, Grammar
from universal_core.conversation.forms import grammar_of
from universal_core.conversation.grammars import Grammars
from universal_core.conversation.harmony import MARKERS, HarmonyDialect, HarmonyTurn
from universal_core.messages import FinishReason

START = "<|start|>assistant"
THOUGHT = "<|channel|>analysis<|message|>The user <asks>.\n<|end|><|start|>assistant"
PREAMBLE = "<|channel|>commentary<|message|>Let me look.<|end|><|start|>assistant"
FINAL = "<|channel|>final<|message|>It is so."
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = Tool(name="get_weather", parameters=CITY)
CLOCK = Tool(name="clock")


def call(name: str = "get_weather", arguments: str = '{"city": "Rome"}') -> str:
    return f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}"


def turn(tail: str = START, *, guaranteed: bool = False) -> HarmonyTurn:
    return HarmonyTurn(tail, frozenset({"get_weather", "clock"}), guaranteed=guaranteed)


@pytest.mark.parametrize("end", ["", "<|return|>", "<|end|>", "<|return|><|call|>"])
def test_thoughts_and_the_answer_are_told_apart_however_the_text_is_cut(end: str) -> None:
    for parts in splits(THOUGHT + FINAL + end):
        pieces = read(turn(), parts)
        assert (thoughts(pieces), content(pieces)) == ("The user <asks>.\n", "It is so."), parts


@pytest.mark.parametrize("guaranteed", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        call(),
        " to=functions.get_weather<|channel|>commentary json<|message|>" + '{"city": "Rome"}',
        '<|channel|>commentary to=get_weather<|message|>{"city": "Rome"}',
        '<|channel|>analysis to=functions.get_weather<|message|>{"city": "Rome"}',
    ],
)
def test_a_call_is_read_wherever_its_header_names_the_tool(text: str, guaranteed: bool) -> None:
    for before, end in (("", ""), (THOUGHT, "<|call|>")):
        for parts in splits(before + text + end):
            pieces = read(turn(guaranteed=guaranteed), parts)
            assert calls(pieces) == [("get_weather", '{"city": "Rome"}')], parts
            assert content(pieces) == ""


def test_several_calls_and_a_preamble_stand_in_one_turn() -> None:
    text = THOUGHT + PREAMBLE + call() + "<|call|><|start|>assistant" + call("clock", "{}") + "<|call|>"
    for parts in splits(text):
        pieces = read(turn(), parts)
        assert content(pieces) == "Let me look."
        assert calls(pieces) == [("get_weather", '{"city": "Rome"}'), ("clock", "{}")]


@pytest.mark.parametrize(
    ("text", "reason", "shown"),
    [
        (call(arguments='{"city": '), "stop", '{"city": '),
        (call(arguments='{"city": "R'), "length", '{"city": "R'),
        (call(arguments="[1]"), "stop", "[1]"),
        (call(name="missing"), "stop", '{"city": "Rome"}'),
    ],
)
def test_a_broken_call_is_content(text: str, reason: FinishReason, shown: str) -> None:
    for parts in splits(text):
        pieces = read(turn(), parts, reason)
        assert (calls(pieces), content(pieces)) == ([], shown), parts


def test_what_goes_to_a_tool_that_nobody_gave_is_thought() -> None:
    pieces = read(turn(), ["<|channel|>analysis to=python code<|message|>print(1)<|call|>"])
    assert (thoughts(pieces), content(pieces)) == ("print(1)", "")


@pytest.mark.parametrize("text", ["It is so.", " It is so.", "<b>It</b> is so.", "to you: it is so.", "assistance"])
def test_a_turn_without_any_header_is_content(text: str) -> None:
    for parts in splits(text):
        assert content(read(turn(), parts)) == text


@pytest.mark.parametrize("text", ["<|start|>so", "<|end|><|start|>so", "<|call|>so"])
def test_markers_that_open_no_header_are_passed_over(text: str) -> None:
    for parts in splits(text):
        assert content(read(turn(), parts)) == "so"


def test_half_a_header_says_nothing() -> None:
    for parts in splits(THOUGHT + "<|channel|>fin"):
        pieces = read(turn(), parts, "length")
        assert (thoughts(pieces), content(pieces)) == ("The user <asks>.\n", "")


def test_half_a_marker_at_which_a_turn_was_cut_is_no_text() -> None:
    for parts in splits(FINAL + "<|ret"):
        assert content(read(turn(), parts, "length")) == "It is so."
        assert content(read(turn(), parts, "stop")) == "It is so.<|ret"


def test_arguments_are_told_as_they_are_written_where_a_grammar_keeps_them() -> None:
    reader = turn(guaranteed=True)
    told = [calls(reader.feed(part)) for part in (call(arguments=""), '{"city":', ' "Rome"}', "<|call|>")]
    assert told == [[("get_weather", "")], [("", '{"city":')], [("", ' "Rome"}')], []]


@pytest.mark.parametrize(
    ("tail", "text", "thought", "answer"),
    [
        (START + "<|channel|>analysis<|message|>", "Hm.<|end|><|start|>assistant" + FINAL, "Hm.", "It is so."),
        (START + "<|channel|>final<|message|>", "It is so.", "", "It is so."),
        ("and so", " it is.", "", " it is."),
        ("<|end|>" + START + "<|channel|>", "final<|message|>It is so.", "", "It is so."),
    ],
)
def test_a_turn_goes_on_where_the_prompt_ends(tail: str, text: str, thought: str, answer: str) -> None:
    for parts in splits(text):
        pieces = read(turn(tail), parts)
        assert (thoughts(pieces), content(pieces)) == (thought, answer), parts


# Grammars


VOCABULARY = Tokens(MARKERS, ends=["<|return|>", "<|call|>"])
TEMPLATE = ChatTemplate(HARMONY)


def dialect() -> HarmonyDialect:
    return HarmonyDialect(VOCABULARY, TEMPLATE)


def may(request: ChatRequest, text: str, tail: str = START) -> bool:
    form = grammar_of(request.response_format) if request.response_format else None
    grammar = dialect().grammar(request, tail, form)
    assert isinstance(grammar, Grammar)
    return fits(Grammars(VOCABULARY).follow(grammar), VOCABULARY.encode(text, special=False))


def formed(**fields: Any) -> ChatRequest:
    form = ResponseFormat(type="json_schema", schema={"enum": ["red"]})
    return chat_request("hi", response_format=form, **fields)


def final(text: str) -> str:
    return "<|channel|>final<|message|>" + text


def test_the_form_is_that_of_the_final_message() -> None:
    assert may(formed(), THOUGHT + final('"red"'))
    assert may(formed(), final('"red"'))
    assert not may(formed(), final('"green"'))
    assert not may(formed(), '"red"')
    assert not may(formed(), THOUGHT + '"red"')
    assert may(formed(), '"red"', START + "<|channel|>final<|message|>")
    assert may(formed(), "Hm.<|end|>" + START + final('"red"'), START + "<|channel|>analysis<|message|>")


def test_a_call_that_is_required_is_valid() -> None:
    request = chat_request("hi", tools=(WEATHER, CLOCK), tool_choice="required")
    assert may(request, THOUGHT + call())
    assert may(request, call("clock", "{}"))
    assert not may(request, call(arguments='{"town": "Rome"}'))
    assert not may(request, THOUGHT + FINAL)
    assert not may(request, PREAMBLE + call())


def test_a_strict_tool_leaves_the_answer_free() -> None:
    request = chat_request("hi", tools=(WEATHER, Tool(name="clock", strict=True)))
    assert may(request, THOUGHT + FINAL)
    assert may(request, call())
    assert may(request, THOUGHT + PREAMBLE + call())
    assert not may(request, call(arguments="[]"))


def test_an_answer_in_a_form_may_be_a_call_instead() -> None:
    request = formed(tools=(WEATHER,))
    assert may(request, call())
    assert may(request, final('"red"'))
    assert not may(request, final("red"))
    assert not may(request, PREAMBLE + final('"red"'))


def test_what_is_free_has_no_grammar() -> None:
    assert dialect().grammar(chat_request("hi"), START, None) is None


# Effort


def test_the_effort_is_the_templates_own_variable() -> None:
    for effort, level in (("minimal", "low"), ("low", "low"), ("medium", "medium"), ("xhigh", "high")):
        told = dialect().told(chat_request("hi", reasoning_effort=effort))
        assert told.chat_template_kwargs == {"reasoning_effort": level}
        assert told.thinking_budget is None


def test_without_effort_the_answer_begins_behind_an_empty_thought() -> None:
    told = dialect().told(chat_request("hi", reasoning_effort="none"))
    prompt = TEMPLATE.render(told.messages, arguments=told.chat_template_kwargs)
    ending = dialect().ending(told, prompt)
    assert ending == "<|channel|>analysis<|message|><|end|><|start|>assistant<|channel|>final<|message|>"
    assert content(read(HarmonyTurn(prompt + ending, frozenset()), ["So."])) == "So."
    assert dialect().thought_end(told, prompt + ending) is None


def test_without_effort_a_tool_can_still_be_called() -> None:
    told = dialect().told(chat_request("hi", reasoning_effort="none", tools=(WEATHER,)))
    ending = dialect().ending(told, START)
    assert ending == "<|channel|>analysis<|message|><|end|><|start|>assistant"
    assert told.thinking_budget == 0


def test_markers_are_those_of_the_vocabulary() -> None:
    assert set(dialect().markers(chat_request("hi")).values()) == set(MARKERS)
    assert END not in dialect().markers(chat_request("hi"))
