"""A conversation's turns: what each role needs, and what the domain makes of them."""

import json
from typing import Any

import msgspec
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionMessage

from universal_core.errors import BadRequest
from universal_core.http import decode
from universal_core.messages import (
    AudioPart,
    ChatMessage,
    Finish,
    ImagePart,
    Reasoning,
    Text,
    TextPart,
    ToolCall,
    ToolInvocation,
)
from universal_core.openai.chat import ChatBody
from universal_core.openai.chat_answers import ChatCompletion as Answer
from universal_core.openai.generation import Stamp

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
INVOCATION = ToolInvocation(id="call_1", name="f", arguments='{"a": 1}')


def messages(*turns: dict[str, Any]) -> tuple[ChatMessage, ...]:
    return decode(json.dumps({"messages": turns}).encode(), ChatBody).to_request().messages


def message(**turn: Any) -> ChatMessage:
    (found,) = messages(turn)
    return found


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_a_turn_is_words_of_a_role(role: str) -> None:
    assert message(role=role, content="hi") == ChatMessage(role=role, content=(TextPart(text="hi"),))  # type: ignore[arg-type]


def test_a_turn_may_be_parts_of_several_kinds() -> None:
    content = [
        {"type": "text", "text": "look: "},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,x", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "http://x"}},
        {"type": "input_audio", "input_audio": {"data": "eA==", "format": "wav"}},
    ]
    body = decode(json.dumps({"messages": [{"role": "user", "name": "me", "content": content}]}).encode(), ChatBody)
    (found,) = body.to_request({"messages[0].content[1].image_url.url": b"first"}).messages
    assert found.content == (
        TextPart(text="look: "),
        ImagePart(data=b"first", detail="low"),
        ImagePart(data=b"", detail="auto"),
        AudioPart(data=b"", format="wav"),
    )
    assert (found.text, found.name) == ("look: ", "me")


def test_pictures_and_recordings_are_asked_of_the_model_by_the_name_of_their_field() -> None:
    picture = [{"type": "image_url", "image_url": {"url": "http://x"}}]
    sound = [{"type": "text", "text": ""}, {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]
    body = {"messages": [{"role": "user", "content": picture}, {"role": "user", "content": sound}]}
    features = decode(json.dumps(body).encode(), ChatBody).to_request().features()
    assert features == {"images": "messages[0].content[0].image_url", "audio": "messages[1].content[1].input_audio"}


def test_a_tools_answer_follows_the_call_that_it_answers() -> None:
    found = messages(
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
    )
    assert found[1] == ChatMessage(role="assistant", tool_calls=(INVOCATION,))
    assert found[2] == ChatMessage(role="tool", content=(TextPart(text="42"),), tool_call_id="call_1")


@pytest.mark.parametrize("content", [None, [], ""])
def test_a_turn_of_calls_may_say_nothing_and_a_tool_may_answer_with_nothing(content: Any) -> None:
    assert message(role="assistant", content=content, tool_calls=[CALL]).tool_calls == (INVOCATION,)
    assert message(role="tool", content=content, tool_call_id="call_1").text == ""
    assert message(role="assistant", content="").text == ""


def test_answers_that_the_official_client_has_parsed_can_be_sent_back() -> None:
    call = {**CALL, "function": {**CALL["function"], "parsed_arguments": {"a": 1}}}  # type: ignore[dict-item]
    found = message(role="assistant", content='{"b": 2}', parsed={"b": 2}, tool_calls=[call])
    assert (found.text, found.tool_calls) == ('{"b": 2}', (INVOCATION,))


def test_calls_put_together_from_a_stream_may_keep_their_place() -> None:
    assert message(role="assistant", tool_calls=[{"index": 0, **CALL}]).tool_calls == (INVOCATION,)


def test_what_an_assistant_thought_or_refused_is_kept() -> None:
    for fields in (
        {"reasoning_content": "hmm"},
        {"reasoning": "hmm"},
        {"reasoning": "hmm", "reasoning_content": "hmm"},
    ):
        assert message(role="assistant", content="yes", **fields).reasoning == "hmm"
    assert message(role="assistant", content=None, refusal="no").text == "no"
    assert message(role="assistant", content=[{"type": "refusal", "refusal": "no"}]).text == "no"


@pytest.mark.parametrize(
    ("turn", "param", "words"),
    [
        ({"role": "user"}, "messages[0].content", "required for role user"),
        ({"role": "system", "content": None}, "messages[0].content", "required for role system"),
        ({"role": "assistant"}, "messages[0].content", "required where there are no tool_calls"),
        ({"role": "assistant", "tool_calls": []}, "messages[0].content", "required where there are no tool_calls"),
        ({"role": "tool", "content": "42"}, "messages[0].tool_call_id", "required for role tool"),
        ({"role": "user", "content": []}, "messages[0].content", "required for role user"),
        ({"role": "assistant", "content": []}, "messages[0].content", "required where there are no tool_calls"),
        ({"role": "function", "name": "f", "content": "x"}, "messages[0].role", "expected one of assistant"),
        (
            {"role": "assistant", "content": "a", "reasoning": "b", "reasoning_content": "c"},
            "messages[0].reasoning",
            "two names of one text",
        ),
        (
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            "messages[0].function_call",
            "send the call in tool_calls",
        ),
        ({"role": "assistant", "content": "a", "audio": {"id": "b"}}, "messages[0].audio", "no spoken answers"),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]},
            "messages[0].tool_calls[0].id",
            "required",
        ),
        (
            {"role": "user", "content": [{"type": "file", "file": {"file_id": "1"}}]},
            "messages[0].content[0]",
            "files are not supported",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": "http://x"}]},
            "messages[0].content[0].image_url",
            "expected object, got str",
        ),
    ],
)
def test_a_turn_that_lacks_what_its_role_needs_is_refused_by_place(
    turn: dict[str, Any], param: str, words: str
) -> None:
    with pytest.raises(BadRequest, match=words) as raised:
        message(**turn)
    assert raised.value.param == param


def test_calls_belong_to_the_assistant_alone() -> None:
    with pytest.raises(BadRequest) as raised:
        message(role="user", content="x", tool_calls=[CALL])
    assert raised.value.param == "messages[0].tool_calls"


def test_an_answer_of_the_official_client_can_be_sent_back_as_a_turn() -> None:
    events = [
        Reasoning(text="hmm"),
        Text(text="well"),
        ToolCall(position=0, id="call_1", name="f", arguments='{"a": 1}'),
        Finish(reason="tool_calls"),
    ]
    wire = json.loads(msgspec.json.encode(Answer.of(Stamp.new("chatcmpl", "m"), events, 1, logprobs=False)))
    parsed: ChatCompletionMessage = ChatCompletion.model_validate(wire).choices[0].message
    for turn in (parsed.model_dump(), parsed.model_dump(exclude_none=True), wire["choices"][0]["message"]):
        found = message(**turn)
        assert (found.text, found.reasoning, found.tool_calls) == ("well", "hmm", (INVOCATION,))
