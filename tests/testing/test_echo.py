"""The echo backend says, thinks and calls what it is told to: tests of everything around models stand on it."""

from typing import Any

from clients import outcome, posted

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("first", "second")]
COMMANDS = 'think one two\nHello there.\ncall first {"a": 1}\ncall second {}\n'


def asked(text: str, model: str = "echo/a", **fields: Any) -> dict[str, Any]:
    return posted(
        "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": text}], **fields}
    ).json()


def said(answer: dict[str, Any]) -> tuple[str, str | None, list[tuple[str, str]], str]:
    """Return thoughts, text, calls and the reason of an answer's end."""
    (choice,) = answer["choices"]
    message = choice["message"]
    calls = [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls", ())]
    return message.get("reasoning", ""), message["content"], calls, choice["finish_reason"]


def test_it_thinks_says_and_calls_what_its_lines_tell_it_to() -> None:
    answer = asked(COMMANDS, tools=TOOLS)
    assert said(answer) == ("one two", "Hello there.\n", [("first", '{"a": 1}'), ("second", "{}")], "tool_calls")
    assert [call["id"][:5] for call in answer["choices"][0]["message"]["tool_calls"]] == ["call_", "call_"]
    assert answer["usage"]["completion_tokens"] == 6
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 2


def test_without_such_tools_a_call_is_text() -> None:
    assert said(asked(COMMANDS))[1:] == (COMMANDS.partition("\n")[2], [], "stop")
    assert said(asked(COMMANDS, tools=TOOLS, tool_choice="none"))[1:] == (COMMANDS.partition("\n")[2], [], "stop")
    assert said(asked("call first nothing", tools=TOOLS))[1:] == ("call first nothing", [], "stop")


def test_which_tools_are_called_is_up_to_the_request() -> None:
    assert said(asked(COMMANDS, tools=TOOLS, parallel_tool_calls=False))[2] == [("first", '{"a": 1}')]
    assert said(asked("hi", tools=TOOLS, tool_choice="required"))[1:] == (None, [("first", "{}")], "tool_calls")
    named = {"type": "function", "function": {"name": "second"}}
    assert said(asked("hi", tools=TOOLS, tool_choice=named))[2] == [("second", "{}")]


def test_how_much_it_thinks_is_up_to_the_request() -> None:
    assert said(asked(COMMANDS, reasoning_effort="none"))[0] == ""
    assert said(asked(COMMANDS, thinking_budget=1))[0] == "one "


def test_it_answers_in_json_where_that_is_asked_for() -> None:
    assert said(asked("think hm\nhi there", response_format={"type": "json_object"}))[:2] == (
        "hm",
        '{"echo":"hi there"}',
    )
    properties = {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"enum": ["x", "y"]}, "d": {"const": None}}
    schema = {"type": "object", "properties": properties}
    assert said(asked("hi", guided_json=schema))[1] == '{"a":"hi","b":1,"c":"x","d":null}'
    body = {"model": "echo/a", "prompt": "hi", "guided_json": schema}
    assert posted("/v1/completions", body).json()["choices"][0]["text"] == '{"a":"hi","b":1,"c":"x","d":null}'
    refused = posted(
        "/v1/chat/completions", {"model": "echo/a", "messages": [{"role": "user", "content": ""}], "guided_regex": "a"}
    )
    assert outcome(refused) == (400, "unsupported_field", "guided_regex")


def test_an_answer_that_is_cut_ends_for_its_length() -> None:
    assert said(asked("one two three", max_tokens=2)) == ("", "one two ", [], "length")
    assert said(asked("one two", max_tokens=2))[3] == "stop"


def test_what_a_tool_answers_is_repeated_too() -> None:
    turns = [
        {"role": "user", "content": "call first {}"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "first", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "18 degrees"},
    ]
    assert said(posted("/v1/chat/completions", {"model": "echo/a", "messages": turns}).json())[1] == "18 degrees"


def test_one_with_little_room_refuses_long_conversations_or_leaves_the_oldest_turns_out() -> None:
    turns = [{"role": "system", "content": "rule"}] + [{"role": "user", "content": f"turn {n}"} for n in range(5)]
    body: dict[str, Any] = {"model": "echo/short", "messages": turns}
    assert outcome(posted("/v1/chat/completions", body)) == (400, "context_length_exceeded", "messages")
    answer = posted("/v1/chat/completions", {**body, "truncation": "auto"}).json()
    assert (answer["truncation"], said(answer)[1]) == ({"dropped_messages": 2}, "turn 4")
    assert answer["usage"]["prompt_tokens"] == 4
