"""The echo backend keeps the contract, and the contract notices backends that do not."""

from typing import Any

import msgspec
import pytest

from universal_core import (
    ChatRequest,
    Event,
    Finish,
    GenerateImageRequest,
    Picture,
    Preview,
    Reasoning,
    Request,
    ResponseFormat,
    Step,
    Text,
    ToolCall,
    Truncated,
    Usage,
)
from universal_core.testing import BackendContract, chat_request
from universal_core.testing.contract import check_order, content, same
from universal_core.testing.painting import check_pictures
from universal_core.testing.png import make_png
from universal_core.testing.talking import TOOLS, check_calls, check_talk


class TestEcho(BackendContract):
    model = "echo/contract"

    def long_request(self, task: str) -> Request | None:
        found = super().long_request(task)
        return chat_request("repeat 100000", 100000) if isinstance(found, ChatRequest) else found


def test_text_after_the_finish_breaks_the_contract() -> None:
    with pytest.raises(AssertionError, match="after answer 0 had finished"):
        check_order([Finish(reason="stop"), Text(text="late")], chat_request("x", 1))


def test_an_answer_without_a_finish_breaks_the_contract() -> None:
    request = msgspec.structs.replace(chat_request("x", 1), n=2)
    with pytest.raises(AssertionError, match=r"answers \[0\] of 2"):
        check_order([Text(text="a"), Finish(reason="stop")], request)


def test_usage_told_twice_breaks_the_contract() -> None:
    with pytest.raises(AssertionError, match="once"):
        check_order([Finish(reason="stop"), Usage(), Usage()], chat_request("x", 1))


def test_what_was_left_out_is_told_first() -> None:
    messages = [Truncated(messages=2), Text(text="a"), Finish(reason="stop"), Usage()]
    check_order(messages, chat_request("x", 1))
    with pytest.raises(AssertionError, match="told first"):
        check_order([messages[1], messages[0], *messages[2:]], chat_request("x", 1))


def picture(index: int = 0, seed: int = 7) -> Picture:
    return Picture(data=b"", format="png", width=1, height=1, seed=seed, index=index)


DONE = Step(done=1, total=1)


@pytest.mark.parametrize(
    ("events", "wrong"),
    [
        ([picture()], "tells of its steps"),
        ([DONE, Step(done=0, total=1), picture()], "came after step 1"),
        ([DONE, Step(done=2, total=1), picture()], "came after step 1"),
        ([DONE], r"pictures \[\] of 1"),
        ([DONE, picture(), picture()], "came twice"),
        ([DONE, picture(), picture(1)], r"pictures \[0, 1\] of 1"),
        ([DONE, picture(), Preview(data=b"")], "came after it"),
        ([Preview(data=b""), Preview(data=b""), DONE, picture()], "told once"),
        ([Preview(data=b"", number=1), DONE, picture()], "no more previews"),
        ([DONE, Usage(), picture()], "none of a picture's"),
        ([DONE, picture(), Usage(), Usage()], "none of a picture's"),
        ([DONE, picture(seed=8)], "the seed that follows"),
        ([DONE, msgspec.structs.replace(picture(), format="webp")], "the format that was asked for"),
    ],
)
def test_pictures_out_of_order_break_the_contract(events: list[Event], wrong: str) -> None:
    with pytest.raises(AssertionError, match=wrong):
        check_pictures(events, GenerateImageRequest(prompt="x", seed=7, previews=1))


def test_pictures_are_the_same_but_for_rounding() -> None:
    def answer(red: int) -> object:
        return content([DONE, msgspec.structs.replace(picture(), data=make_png(8, 8, bytes((red, 9, 9))))])

    assert same(answer(100), answer(100))
    assert same(answer(100), answer(102))
    assert not same(answer(100), answer(103))
    assert not same(answer(100), content([DONE, Text(text="x")]))


CALL = ToolCall(position=0, id="call_1", name="switch")


@pytest.mark.parametrize(
    ("events", "wrong"),
    [
        ([ToolCall(position=0, name="switch")], "id and name come first"),
        ([ToolCall(position=0, arguments="{}")], "id and name come first"),
        ([CALL, CALL], "id and name come first"),
        ([ToolCall(position=1, id="call_1", name="switch")], "numbered from 0"),
        ([Finish(reason="tool_calls")], "has some"),
        ([CALL, ToolCall(position=0, arguments="[]"), Finish(reason="tool_calls")], "are an object"),
    ],
)
def test_calls_out_of_order_break_the_contract(events: list[Event], wrong: str) -> None:
    with pytest.raises(AssertionError, match=wrong):
        check_calls(events)


@pytest.mark.parametrize(
    ("fields", "events", "wrong"),
    [
        ({"tools": TOOLS, "tool_choice": "none"}, [CALL], "where none may be"),
        ({"tools": TOOLS, "allowed_tools": ("wait",)}, [CALL], r"\['switch'\] were called"),
        (
            {"tools": TOOLS, "parallel_tool_calls": False},
            [CALL, ToolCall(position=1, id="call_2", name="wait")],
            "one at a time",
        ),
        ({"tools": TOOLS, "tool_choice": "required"}, [Text(text="no")], "where one must be"),
        ({"response_format": ResponseFormat(type="json_object")}, [Text(text='"maybe"')], "has not the form"),
        ({"reasoning_effort": "none"}, [Reasoning(text="hm")], "where nothing is to be"),
    ],
)
def test_a_conversation_that_is_not_as_asked_breaks_the_contract(
    fields: dict[str, Any], events: list[Event], wrong: str
) -> None:
    request = msgspec.structs.replace(chat_request("x", 9), **fields)
    with pytest.raises(AssertionError, match=wrong):
        check_talk([*events, Finish(reason="stop")], request)
