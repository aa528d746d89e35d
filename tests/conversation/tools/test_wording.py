"""Tools in words, for models whose templates show none; and what templates that show them want of a conversation."""

import json
from typing import Any

import pytest

from calling import TOOLS
from pieces import Tokens
from tiny.answers import chat_request
from tiny.templates import GEMMA, LLAMA_3, MISTRAL, QWEN
from universal_core import ChatMessage, ChatRequest, TextPart, ToolInvocation
from universal_core.conversation import ChatTemplate, Prompter, dialect_of
from universal_core.conversation.tools.wording import short_id

CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
STRICT = (
    "{% for m in messages %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('order') }}{% endif %}"
    "<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
)


def say(role: Any, text: str = "", **fields: Any) -> ChatMessage:
    return ChatMessage(role=role, content=(TextPart(text=text),) if text else (), **fields)


def call(id: str, name: str = "write", **arguments: Any) -> ToolInvocation:
    return ToolInvocation(id=id, name=name, arguments=json.dumps(arguments))


EXCHANGE = (
    say("user", "hi"),
    say("assistant", "Wait.", tool_calls=(call("call_1", text="é"), call("call_2", "now"))),
    say("tool", "done", tool_call_id="call_1"),
    say("tool", "noon", tool_call_id="call_2"),
)


def prompt(source: str | None, request: ChatRequest) -> str:
    template = ChatTemplate(source, tokens={"bos_token": "<s>", "eos_token": "</s>"}) if source else None
    prompter = Prompter(Tokens(), template)
    prompter.shown = dialect_of(Tokens(), template).shown
    return prompter.write_chat(request)


@pytest.mark.parametrize("source", [CHAT, GEMMA, None])
def test_tools_that_a_template_does_not_show_are_put_into_words(source: str | None) -> None:
    text = prompt(source, chat_request("hi", tools=TOOLS))
    for tool in TOOLS:
        assert f'"name": "{tool.name}"' in text
    assert '<tool_call>\n{"name": "name_of_the_function"' in text
    assert "one such block after the other" in text
    assert "no more than one" in prompt(source, chat_request("hi", tools=TOOLS, parallel_tool_calls=False))


def test_the_words_stand_in_the_system_turn() -> None:
    request = ChatRequest(messages=(say("system", "Be brief."), say("user", "hi")), tools=TOOLS)
    assert prompt(CHAT, request).startswith("<system>Be brief.\n\nYou can call functions.")
    assert prompt(CHAT, chat_request("hi", tools=TOOLS)).startswith("<system>You can call functions.")


@pytest.mark.parametrize("source", [CHAT, STRICT, GEMMA, None])
def test_earlier_calls_and_results_are_turns_in_words(source: str | None) -> None:
    text = prompt(source, ChatRequest(messages=EXCHANGE, tools=TOOLS if source != STRICT else ()))
    first = '<tool_call>\n{"name": "write", "arguments": {"text": "\\u00e9"}}\n</tool_call>'
    assert f'Wait.\n{first}\n<tool_call>\n{{"name": "now"' in text
    results = "<tool_response>\ndone\n</tool_response>\n<tool_response>\nnoon\n</tool_response>"
    assert results in text
    assert text.index("Wait.") < text.index(results)


def test_a_conversation_without_calls_is_left_as_it_is() -> None:
    twice = ChatRequest(messages=(say("user", "a"), say("user", "b")))
    assert prompt(CHAT, twice) == "<user>a<user>b<assistant>"


def test_what_the_user_says_beside_a_result_is_one_turn_with_it() -> None:
    text = prompt(STRICT, ChatRequest(messages=(*EXCHANGE, say("user", "well?"))))
    assert text.endswith("noon\n</tool_response>\nwell?<assistant>")


def test_arguments_that_are_no_object_are_written_as_they_are() -> None:
    broken = say("assistant", tool_calls=(ToolInvocation(id="x", name="write", arguments="oops"),))
    assert '"arguments": oops}' in prompt(CHAT, ChatRequest(messages=(say("user", "hi"), broken)))


@pytest.mark.parametrize("source", [QWEN, CHAT, None])
def test_where_no_tool_may_be_called_none_is_shown(source: str | None) -> None:
    assert prompt(source, chat_request("hi", tools=TOOLS, tool_choice="none")) == prompt(source, chat_request("hi"))


def test_a_template_of_single_calls_is_shown_one_after_the_other() -> None:
    text = prompt(LLAMA_3, ChatRequest(messages=EXCHANGE, tools=TOOLS))
    places = [
        text.index(part)
        for part in ('"name": "write", "parameters": {"text"', "done", '"name": "now", "parameters": {}', "noon")
    ]
    assert places == sorted(places)


def test_ids_are_short_where_the_template_wants_them_so() -> None:
    text = prompt(MISTRAL, ChatRequest(messages=EXCHANGE, tools=TOOLS))
    assert "call_1" not in text
    assert text.count(short_id("call_1")) == 2
    assert short_id("call_1") != short_id("call_2")
    assert short_id("abcDEF123") == "abcDEF123"
    assert len(short_id("call_1")) == 9


def test_a_template_that_shows_calls_but_no_tools_is_told_of_them_in_its_own_form() -> None:
    source = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% for c in m.tool_calls or [] %}"
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{{ c.function.name }}<｜tool▁sep｜>"
        "{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}"
    )
    text = prompt(source, ChatRequest(messages=EXCHANGE, tools=TOOLS))
    assert "<｜tool▁call▁begin｜>name_of_the_function<｜tool▁sep｜>{" in text
    assert "write<｜tool▁sep｜>" in text
    assert "<tool_response>" not in text
