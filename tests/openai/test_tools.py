"""The tools of a request: what they are, and which of them may be called."""

import json
from typing import Any

import pytest

from universal_core.errors import BadRequest, UnsupportedField
from universal_core.http import decode
from universal_core.messages import ChatRequest, Tool
from universal_core.openai.chat import ChatBody

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}


def tool(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def some(mode: str, *names: str) -> dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [named(name) for name in names]}}


def chat(**fields: Any) -> ChatRequest:
    body = {"messages": [{"role": "user", "content": "hi"}], **fields}
    return decode(json.dumps(body).encode(), ChatBody).to_request()


BOTH = [tool("f"), tool("g")]


def test_a_tool_is_a_function_with_all_that_is_told_of_it() -> None:
    (found,) = chat(tools=[tool("f", description="d", parameters=PARAMETERS, strict=True)]).tools
    assert found == Tool(name="f", description="d", parameters=PARAMETERS, strict=True)
    (bare,) = chat(tools=[{"function": {"name": "f"}}]).tools
    assert bare == Tool(name="f")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ("auto", ())),
        ("auto", ("auto", ())),
        ("none", ("none", ())),
        ("required", ("required", ())),
        (named("g"), ("required", ("g",))),
        (some("auto", "g"), ("auto", ("g",))),
        (some("required", "g", "f", "g"), ("required", ("g", "f"))),
    ],
)
def test_a_choice_says_whether_and_which_tools_are_called(choice: Any, expected: tuple[str, tuple[str, ...]]) -> None:
    found = chat(tools=BOTH, tool_choice=choice)
    assert (found.tool_choice, found.allowed_tools) == expected
    assert [tool.name for tool in found.tools] == ["f", "g"]


@pytest.mark.parametrize("fields", [{"tool_choice": "none"}, {"tool_choice": "auto"}, {"tools": []}])
def test_without_tools_a_choice_of_none_asks_nothing_of_the_model(fields: dict[str, Any]) -> None:
    assert chat(**fields) == chat()
    assert chat(**fields, parallel_tool_calls=False).features() == {}


def test_one_call_at_a_time_can_be_asked_for() -> None:
    assert chat(tools=BOTH).parallel_tool_calls
    assert chat(tools=BOTH, parallel_tool_calls=False).features().keys() == {"tools", "parallel_tool_calls"}


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"tool_choice": "required"}, "tool_choice", "no tools to choose from; send tools"),
        ({"tool_choice": named("f")}, "tool_choice", "no tools to choose from; send tools"),
        ({"tools": BOTH, "tool_choice": named("h")}, "tool_choice", "there is no tool h; known are f, g"),
        ({"tools": BOTH, "tool_choice": some("auto", "f", "h")}, "tool_choice", "there is no tool h; known are f, g"),
        ({"tools": BOTH, "tool_choice": "any"}, "tool_choice", "expected one of auto, none, required"),
        ({"tools": BOTH, "tool_choice": {"type": "function"}}, "tool_choice.function", "required: send"),
        ({"tools": BOTH, "tool_choice": {"type": "function", "name": "f"}}, "tool_choice.function", "not in its name"),
        ({"tools": BOTH, "tool_choice": {**named("f"), "name": "f"}}, "tool_choice.name", "remove it"),
        (
            {"tools": BOTH, "tool_choice": {"type": "custom", "custom": {"name": "f"}}},
            "tool_choice.type",
            "expected one of allowed_tools, function",
        ),
        ({"tools": [*BOTH, tool("f")]}, "tools[2].function.name", "there is a tool f already"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "required"),
        ({"tools": [tool("f"), tool("two words")]}, "tools[1].function.name", "matching regex"),
        ({"tools": [tool("f", parameters=[])]}, "tools[0].function.parameters", "expected object"),
        ({"tools": [{"type": "function", "name": "f"}]}, "tools[0].name", "stands in tools.0..function; move it there"),
    ],
)
def test_tools_that_make_no_sense_are_refused_by_place(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as raised:
        chat(**fields)
    assert raised.value.param == param


@pytest.mark.parametrize(
    "other", [{"type": "custom", "custom": {"name": "shell"}}, {"type": "web_search"}, {"type": "code_interpreter"}]
)
def test_a_tool_that_is_no_function_is_refused_with_what_to_do_instead(other: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedField, match=f"only functions can be called; describe {other['type']} as") as raised:
        chat(tools=[tool("f"), other])
    assert raised.value.param == "tools[1].type"
