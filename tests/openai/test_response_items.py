"""The input of /v1/responses: each item becomes what a model reads, and what none can read is refused by its place."""

import base64
import json
from typing import Any

import msgspec
import pytest

from universal_core.errors import BadRequest, UnsupportedField
from universal_core.http import decode
from universal_core.messages import AudioPart, ChatMessage, ImagePart, TextPart, ToolInvocation
from universal_core.openai.response_bodies import ResponsesBody
from universal_core.openai.response_items import Item, Placed, read_items, sealed, sources_of, to_keep, unsealed
from universal_core.openai.response_turns import Turns

CALL = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"at": 1}'}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "seen"}
INVOCATION = ToolInvocation(id="call_1", name="look", arguments='{"at": 1}')


def read(items: list[Any]) -> list[Placed]:
    body = decode(json.dumps({"input": items}).encode(), ResponsesBody)
    assert isinstance(body.input, list)
    return [Placed(place, item) for place, item in read_items(body.input) if isinstance(item, Item)]


def turns(*items: Any, instructions: str | None = None, media: dict[str, bytes] | None = None) -> list[ChatMessage]:
    return Turns(instructions, read(list(items)), media or {}).messages


def text(words: str) -> tuple[TextPart, ...]:
    return (TextPart(text=words),)


def said(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": words}], **fields}


@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer"])
@pytest.mark.parametrize("kind", [{}, {"type": "message"}], ids=["easy", "typed"])
@pytest.mark.parametrize("content", ["hi", [{"type": "input_text", "text": "hi"}]], ids=["text", "parts"])
def test_a_message_is_a_turn(role: Any, kind: dict[str, str], content: Any) -> None:
    assert turns({"role": role, "content": content, **kind}) == [ChatMessage(role=role, content=text("hi"))]


def test_instructions_stand_before_all() -> None:
    first, second = turns({"role": "user", "content": "hi"}, instructions="Be brief.")
    assert (first, second.role) == (ChatMessage(role="system", content=text("Be brief.")), "user")


def test_what_a_model_wrote_is_read_as_it_comes_back() -> None:
    written = said("yes", id="msg_1", status="completed", phase=None)
    written["content"][0] |= {"annotations": [], "logprobs": None}
    refused = {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}
    assert [turn.text for turn in turns(written, refused)] == ["yes", "no"]


def test_thoughts_words_and_calls_are_one_turn() -> None:
    thoughts = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    other = {**CALL, "call_id": "call_2"}
    found = turns(thoughts, said("Let me see."), CALL, other, OUTPUT, {**OUTPUT, "call_id": "call_2"}, said("Seen."))
    second = ToolInvocation(id="call_2", name="look", arguments='{"at": 1}')
    assert found == [
        ChatMessage(role="assistant", content=text("Let me see."), reasoning="hm", tool_calls=(INVOCATION, second)),
        ChatMessage(role="tool", content=text("seen"), tool_call_id="call_1"),
        ChatMessage(role="tool", content=text("seen"), tool_call_id="call_2"),
        ChatMessage(role="assistant", content=text("Seen.")),
    ]


def test_two_messages_of_an_assistant_stay_two_turns() -> None:
    assert [turn.text for turn in turns(said("one"), said("two"))] == ["one", "two"]


def test_thoughts_after_a_call_begin_a_turn() -> None:
    thoughts = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
    found = turns(CALL, OUTPUT, thoughts, thoughts, said("done"))
    assert [turn.role for turn in found] == ["assistant", "tool", "assistant"]
    assert (found[2].reasoning, found[2].text) == ("hm\n\nhm", "done")


@pytest.mark.parametrize(
    ("fields", "thoughts"),
    [
        ({"content": [{"type": "reasoning_text", "text": "a"}, {"type": "reasoning_text", "text": "b"}]}, "ab"),
        ({"encrypted_content": sealed("größer")}, "größer"),
        ({"content": None, "encrypted_content": sealed("a"), "summary": [{"type": "summary_text", "text": "s"}]}, "a"),
        ({"summary": [{"type": "summary_text", "text": "s"}, {"type": "summary_text", "text": "t"}]}, "s\n\nt"),
        ({"encrypted_content": "gAAAAA", "summary": [{"type": "summary_text", "text": "s"}]}, "s"),
    ],
)
def test_thoughts_come_back_from_the_best_that_a_client_carries(fields: dict[str, Any], thoughts: str) -> None:
    (turn,) = turns({"type": "reasoning", "id": "rs_1", "summary": [], **fields})
    assert turn == ChatMessage(role="assistant", reasoning=thoughts)


def test_empty_thoughts_say_nothing() -> None:
    nothing = {"type": "reasoning", "id": "rs_1", "summary": []}
    assert [turn.role for turn in turns(nothing, {"role": "user", "content": "hi"})] == ["user"]
    with pytest.raises(BadRequest, match="at least one item that says something"):
        turns(nothing)


@pytest.mark.parametrize("text", ["", "gAAAAA", "thoughts.!", "thoughts." + base64.b64encode(b"\xff").decode()])
def test_what_was_not_sealed_here_is_not_read(text: str) -> None:
    assert unsealed(text) is None


def test_pictures_and_recordings_are_read_from_where_they_are() -> None:
    items = [
        {
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": "http://a/b.png", "detail": "original"},
                {"type": "input_audio", "input_audio": {"data": "c291bmQ=", "format": "wav"}},
            ],
        },
        CALL,
        {**OUTPUT, "output": [{"type": "input_image", "image_url": "data:b"}, {"type": "input_text", "text": "x"}]},
    ]
    sources = dict(sources_of(read(items)))
    assert sources == {
        "input[0].content[0].image_url": "http://a/b.png",
        "input[0].content[1].input_audio.data": "c291bmQ=",
        "input[2].output[0].image_url": "data:b",
    }
    first, _, last = turns(*items, media={name: name.encode() for name in sources})
    assert first.content == (
        ImagePart(data=b"input[0].content[0].image_url", detail="high"),
        AudioPart(data=b"input[0].content[1].input_audio.data", format="wav"),
    )
    assert last.content == (ImagePart(data=b"input[2].output[0].image_url"), TextPart(text="x"))


def read_all(item: Any) -> None:
    found = read([item])
    list(sources_of(found))
    Turns(None, found)


@pytest.mark.parametrize(
    ("item", "param", "words"),
    [
        ({"type": "web_search_call", "id": "ws_1", "status": "completed"}, "input[0].type", "known are message"),
        ({"type": "computer_call_output", "call_id": "c", "output": {}}, "input[0].type", "not supported"),
        ({"role": "user"}, "input[0].content", "is required"),
        ({"role": "tool", "content": "x"}, "input[0].role", "expected one of assistant, developer, system, user"),
        ({"role": "user", "content": "x", "nmae": "y"}, "input[0].nmae", "unknown field"),
        ({"role": "user", "content": [{"type": "text", "text": "x"}]}, "input[0].content[...].type", "input_text"),
        ({"role": "user", "content": [{"type": "input_text"}]}, "input[0].content[0].text", "is required"),
        (
            {"role": "user", "content": [{"type": "input_file", "file_id": "f"}]},
            "input[0].content[0]",
            "send their text",
        ),
        (
            {"role": "user", "content": [{"type": "input_image", "file_id": "f"}]},
            "input[0].content[0].file_id",
            "send the picture as image_url",
        ),
        ({"role": "user", "content": [{"type": "input_image"}]}, "input[0].content[0].image_url", "is required"),
        (OUTPUT, "input[0].call_id", "no function_call before it has the call_id call_1"),
        (CALL, "input[0].call_id", "no function_call_output after it has the call_id call_1"),
        ({**CALL, "namespace": "n"}, "input[0].namespace", "null"),
        ({**CALL, "async": True}, "input[0].async", "False"),
        (
            {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"},
            "input[0].encrypted_content",
            "leave the item out",
        ),
        (5, "input[0]", "expected object, got int"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(item: Any, param: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as raised:
        read_all(item)
    assert raised.value.param is not None
    assert raised.value.param.replace("[...]", "[0]") == param.replace("[...]", "[0]")
    assert isinstance(raised.value, UnsupportedField) or "not supported" not in words


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ("messages[0].content[0]", "instructions.content[0]"),
        ("messages[0].role", "instructions"),
        ("messages[1].content[2].image_url", "input[0].content[2].image_url"),
        ("messages[2].tool_calls", "input[1]"),
        ("messages[3].content[0].image_url", "input[3].output[0].image_url"),
        ("messages", "input"),
        ("max_tokens", "max_output_tokens"),
        ("tools[1].function.parameters.type", "tools[1].parameters.type"),
        ("temperature", "temperature"),
    ],
)
def test_what_a_model_says_of_a_turn_is_said_of_its_item(told: str, named: str) -> None:
    found = Turns("Be brief.", read([{"role": "user", "content": "hi"}, said("x"), CALL, OUTPUT]))
    assert found.named(told) == named


@pytest.mark.parametrize("item", [{"role": "user", "content": "hi"}, said("x"), CALL, OUTPUT], ids=str)
def test_an_item_is_kept_with_an_id_and_a_status_and_reads_the_same(item: dict[str, Any]) -> None:
    (before,) = read([item])
    kept = to_keep(before.item)
    assert kept.id
    assert kept.status == "completed"
    again = msgspec.json.decode(msgspec.json.encode(kept), type=Item)
    first, last = read([CALL] if item is OUTPUT else []), read([OUTPUT] if item is CALL else [])
    assert Turns(None, [*first, Placed("", again), *last]).messages == Turns(None, [*first, before, *last]).messages


def test_an_item_keeps_the_id_that_it_came_with() -> None:
    (placed,) = read([said("x", id="msg_1")])
    assert to_keep(placed.item).id == "msg_1"
