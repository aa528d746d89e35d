"""A stream says the same as a whole answer, whatever the events and however they come."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from universal_core.anthropic.answers import MessageBody
from universal_core.anthropic.stream import MessageEvents
from universal_core.messages import Event, Finish, Reasoning, Text, ToolCall, Usage

EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
WORDS = st.text(max_size=4)


def call(position: int, arguments: dict[str, int], cut: int) -> list[Event]:
    text = json.dumps(arguments)
    head = ToolCall(position=position, id=f"call_{position}", name="f", arguments=text[:cut])
    return [head, ToolCall(position=position, arguments=text[cut:])]


PIECES = st.one_of(
    WORDS.map(lambda text: [Text(text=text)]),
    WORDS.map(lambda text: [Reasoning(text=text)]),
    st.tuples(st.dictionaries(WORDS, st.integers(-9, 9), max_size=2), st.integers(0, 12)),
)
ENDINGS = st.sampled_from(
    [
        Finish(reason="stop"),
        Finish(reason="stop", stop="END"),
        Finish(reason="stop", stop="\n\nUser:"),
        Finish(reason="length"),
        Finish(reason="tool_calls"),
    ]
)
USAGES = st.one_of(st.none(), st.just(Usage(prompt_tokens=9, completion_tokens=4, cached_tokens=3, reasoning_tokens=1)))


def batched(events: Sequence[Event], sizes: Sequence[int]) -> list[list[Event]]:
    found, left = [], list(events)
    for size in sizes:
        found.append(left[:size])
        left = left[size:]
    return [*found, left]


def streamed(batches: Sequence[Sequence[Event]], *, hides: bool) -> list[tuple[str, dict[str, Any]]]:
    """Return name and data of each event."""
    message = MessageBody.new("m")
    events = MessageEvents(message, ["END"], hides_thoughts=hides)

    async def frames() -> AsyncGenerator[bytes]:
        for batch in batches:
            yield events.write(batch)

    async def collect() -> bytes:
        return b"".join([piece async for piece in events.around(frames())])

    blocks = asyncio.run(collect()).decode().strip("\n").split("\n\n")
    pairs = [block.split("\n", 1) for block in blocks]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in pairs]


@given(st.lists(PIECES, max_size=6), ENDINGS, USAGES, st.lists(st.integers(0, 3), max_size=4), st.booleans())
def test_a_stream_accumulates_to_the_whole_answer(
    pieces: list[Any], ending: Finish, usage: Usage | None, sizes: list[int], hides: bool
) -> None:
    events: list[Event] = []
    for place, piece in enumerate(pieces):
        events += call(place, *piece) if isinstance(piece, tuple) else piece
    events += [ending, *([usage] if usage else [])]
    whole = MessageBody.of("m", events, ["END"], hides_thoughts=hides)
    snapshot, texts = None, dict[int, bytes]()
    told = streamed(batched(events, sizes), hides=hides)
    for name, data in told:
        assert name == data["type"]
        snapshot = accumulate_event(event=EVENTS.validate_python(data), current_snapshot=snapshot, json_bufs=texts)
    assert snapshot is not None
    found = snapshot.to_dict()
    assert [plain(block) for block in found["content"]] == [plain(block) for block in json_of(whole)["content"]]
    assert (snapshot.stop_reason, snapshot.stop_sequence) == (whole.stop_reason, whole.stop_sequence)
    assert found["usage"] == json_of(whole)["usage"]


def json_of(whole: MessageBody) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(whole)
    return found


def plain(block: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if value is not None}


def test_only_the_stop_sequences_of_the_request_are_told() -> None:
    ours = MessageBody.of("m", [Finish(reason="stop", stop="END")], ["END"], hides_thoughts=False)
    own = MessageBody.of("m", [Finish(reason="stop", stop="\n\nUser:")], ["END"], hides_thoughts=False)
    assert (ours.stop_reason, ours.stop_sequence) == ("stop_sequence", "END")
    assert (own.stop_reason, own.stop_sequence) == ("end_turn", None)


def test_arguments_that_broke_off_stand_in_an_object() -> None:
    events = [ToolCall(position=0, id="c", name="f", arguments='{"a": '), Finish(reason="length")]
    (block,) = json_of(MessageBody.of("m", events, [], hides_thoughts=False))["content"]
    assert block["input"] == {"arguments": '{"a": '}
    events = [ToolCall(position=0, id="c", name="f", arguments="[1]"), Finish(reason="tool_calls")]
    (block,) = json_of(MessageBody.of("m", events, [], hides_thoughts=False))["content"]
    assert block["input"] == {"arguments": [1]}
    (block,) = json_of(MessageBody.of("m", [ToolCall(position=0, id="c", name="f")], [], hides_thoughts=False))[
        "content"
    ]
    assert block["input"] == {}
