"""What models write as calls, taken apart: in every format, cut anywhere, and broken in every way."""

import json
from typing import Any

import pytest

from calling import AT_THE_START, CALLED, TEXT, WRITTEN, asking, told
from pieces import calls, content, read, splits
from universal_core.conversation import Call, Content
from universal_core.conversation.tools import FORMATS

BEFORE = "Let me <see>: "


def parse(name: str, parts: Any, *, guaranteed: bool = False, reason: Any = "stop", **fields: Any) -> list[Any]:
    return read(FORMATS[name].parser(asking(**fields), guaranteed=guaranteed), parts, reason)


def test_every_format_is_tested() -> None:
    assert set(WRITTEN) == set(FORMATS)


@pytest.mark.parametrize("guaranteed", [True, False])
@pytest.mark.parametrize("name", WRITTEN)
def test_calls_are_the_same_however_the_text_is_cut(name: str, guaranteed: bool) -> None:
    guaranteed = guaranteed and name != "json"  # A grammar has its fences only where a turn is free.
    text = WRITTEN[name] if name in AT_THE_START else BEFORE + "\n\n" + WRITTEN[name] + "\n"
    whole = parse(name, [text], guaranteed=guaranteed)
    assert told(calls(whole)) == CALLED
    assert content(whole) == ("" if name in AT_THE_START else BEFORE.rstrip())
    for parts in splits(text):
        found = parse(name, parts, guaranteed=guaranteed)
        assert (calls(found), content(found)) == (calls(whole), content(whole))


@pytest.mark.parametrize("name", WRITTEN)
def test_a_name_comes_first_and_arguments_in_parts(name: str) -> None:
    found = [piece for piece in parse(name, WRITTEN[name], guaranteed=name != "json") if isinstance(piece, Call)]
    for position in (0, 1):
        first, *others = [piece for piece in found if piece.position == position]
        assert first.name == CALLED[position][0]
        assert not any(piece.name or piece.id for piece in others)
        assert others
    assert [piece.position for piece in found] == sorted(piece.position for piece in found)


@pytest.mark.parametrize("name", WRITTEN)
def test_text_without_a_call_is_left_as_it_is(name: str) -> None:
    for text in ("", "  hello \n", "a < b", "{", '{"x": 1}', "[1, 2]", "x = f(1)", "```python\nf()\n```", "[TOOL", "<"):
        for guaranteed in (True, False):
            assert content(parse(name, text, guaranteed=guaranteed)) == text


@pytest.mark.parametrize("name", WRITTEN)
def test_a_call_of_an_unknown_tool_is_text_with_all_its_markers(name: str) -> None:
    text = WRITTEN[name].replace("write", "erase").replace("now", "later")
    found = parse(name, text)
    assert not calls(found)
    assert content(found) == text


@pytest.mark.parametrize("name", WRITTEN)
def test_whatever_is_cut_off_is_text_unless_a_call_is_whole(name: str) -> None:
    text = WRITTEN[name]
    for end in range(len(text)):
        found = parse(name, [text[:end]], reason="length")
        known = told(calls(found))
        assert known == CALLED[: len(known)]
        if not known:
            assert content(found) == text[:end]


@pytest.mark.parametrize("name", WRITTEN)
def test_what_was_announced_stays_where_a_turn_is_cut(name: str) -> None:
    if name == "json":
        return
    text = WRITTEN[name]
    for end in range(len(text)):
        found = parse(name, text[:end], guaranteed=True, reason="length")
        for (called, arguments), (wanted, _) in zip(calls(found), CALLED, strict=False):
            assert called == wanted
            assert _begins(arguments, calls(parse(name, [text], guaranteed=True))[CALLED.index((wanted, _))][1])


def _begins(arguments: str, whole: str) -> bool:
    return whole.startswith(arguments)


@pytest.mark.parametrize("name", WRITTEN)
def test_half_a_call_at_which_a_turn_was_cut_is_no_text(name: str) -> None:
    if name == "json":
        return
    text = BEFORE + "\n" + WRITTEN[name]
    for end in range(0 if name in AT_THE_START else len(BEFORE) + 3, len(text)):
        parts = [text[len(BEFORE) + 1 : end] if name in AT_THE_START else text[:end]]
        choice = "required" if name in AT_THE_START else "auto"
        found = parse(name, parts, guaranteed=True, reason="length", tool_choice=choice)
        assert content(found) == ("" if name in AT_THE_START else BEFORE.rstrip()), parts


@pytest.mark.parametrize("name", WRITTEN)
def test_broken_arguments_are_text(name: str) -> None:
    for broken in (WRITTEN[name].replace("text", "text\\", 1), WRITTEN[name][: len(WRITTEN[name]) // 3] + "}}]})>"):
        found = parse(name, broken)
        assert all(isinstance(arguments, dict) for _, arguments in told(calls(found)))


@pytest.mark.parametrize("name", WRITTEN)
def test_where_no_tool_may_be_called_all_is_text(name: str) -> None:
    assert content(parse(name, WRITTEN[name], tool_choice="none")) == WRITTEN[name]


def test_only_allowed_tools_are_called() -> None:
    found = parse("hermes", WRITTEN["hermes"], allowed_tools=("now",))
    assert told(calls(found)) == CALLED[1:]
    assert content(found) == WRITTEN["hermes"].split('\n<tool_call>\n{"name": "now"')[0]


def test_arguments_may_come_before_the_name() -> None:
    text = f'<tool_call>{{"arguments": {json.dumps({"text": TEXT})}, "name": "write"}}</tool_call>'
    for parts in splits(text):
        assert told(calls(parse("hermes", parts))) == CALLED[:1]


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "function", "function": {"name": "now", "arguments": {}}}',
        '{"name": "now"}',
        '{"name": "now", "arguments": null}',
        '{"name": "now", "arguments": "{}"}',
        '{"name": "now", "parameters": {}, "type": "function"}',
        '{"function": "now", "args": {}}',
    ],
)
def test_objects_may_say_it_in_other_words(text: str) -> None:
    for name, written in (
        ("hermes", f"<tool_call>{text}</tool_call>"),
        ("json", text),
        ("json", f"```json\n{text}```"),
    ):
        assert told(calls(parse(name, [written]))) == [("now", {})]


def test_arguments_that_are_no_object_are_no_call() -> None:
    for arguments in ("[1]", "1", '"x"', '{"a": 01}', "{'a': 1}"):
        text = f'<tool_call>{{"name": "now", "arguments": {arguments}}}</tool_call>'
        assert content(parse("hermes", text)) == text


def test_llama_calls_builtin_tools_and_tagged_ones() -> None:
    quoted = json.dumps(TEXT, ensure_ascii=False)
    for text in (
        f"<|python_tag|>write.call(text={quoted})",
        f'<|python_tag|>{{"name": "write", "parameters": {{"text": {quoted}}}}}',
        f'<function=write>{{"text": {quoted}}}</function>',
    ):
        assert told(calls(parse("llama", text))) == CALLED[:1]


def test_ids_that_come_before_arguments_are_told() -> None:
    first = next(piece for piece in parse("mistral-v11", [WRITTEN["mistral-v11"]]) if isinstance(piece, Call))
    assert first.id == "abcDEF123"
    kimi = [piece.id for piece in parse("kimi", [WRITTEN["kimi"]]) if isinstance(piece, Call) and piece.name]
    assert kimi == ["functions.write:0", "functions.now:1"]


def test_parameters_between_tags_have_the_types_of_the_schema() -> None:
    written = {
        "city": "5",
        "days": "3",
        "rain": "True",
        "more": '{"tags": ["</parameter>"]}',
        "code": '"ab"',
        "note": "null",
    }
    text = "<tool_call>\n<function=get_weather>\n"
    text += "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in written.items())
    text += "</function>\n</tool_call>"
    (found,) = told(calls(parse("qwen-xml", text)))
    more = {"tags": ["</parameter>"]}
    assert found == (
        "get_weather",
        {"city": "5", "days": 3, "rain": True, "more": more, "code": "ab", "note": None},
    )


def test_python_values_become_json() -> None:
    text = "[get_weather(city='x', days=3, rain=True, more={'tags': ('a', 'b')}, note=None, code=\"a\\tb\")]"
    (found,) = told(calls(parse("pythonic", text)))
    more = {"tags": ["a", "b"]}
    assert found[1] == {"city": "x", "days": 3, "rain": True, "more": more, "note": None, "code": "a\tb"}
    assert content(parse("pythonic", "[now(x=open('f'))]")) == "[now(x=open('f'))]"


def test_gemma_values_become_json() -> None:
    text = (
        '<|tool_call>call:get_weather{city:<|"|>x, {y}<|"|>,days:3,rain:true,more:{tags:[<|"|>a<|"|>,"b"]},note:null}'
    )
    (found,) = told(calls(parse("gemma-4", text)))
    assert found[1] == {"city": "x, {y}", "days": 3, "rain": True, "more": {"tags": ["a", "b"]}, "note": None}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_format_writes_it_reads(name: str) -> None:
    arguments = {"city": TEXT, "days": 3, "rain": False, "more": {"tags": ["a", "b"]}, "code": "ab", "note": None}
    text = FORMATS[name].written("get_weather", json.dumps(arguments, ensure_ascii=False))
    assert told(calls(parse(name, [text]))) == [("get_weather", arguments)]
    assert told(calls(parse(name, [FORMATS[name].written("now", "{}")]))) == [("now", {})]


def test_text_after_calls_is_text() -> None:
    found = parse("hermes", WRITTEN["hermes"] + "\n\nThat is it. ")
    assert content(found) == "That is it. "
    assert [piece for piece in found if isinstance(piece, Content)]
