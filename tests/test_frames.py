"""Frames: what is sent arrives, however the bytes are cut on the way."""

import asyncio

import msgspec
import pytest

from universal_core import Claim, Finish, MemoryEstimate, ModelFile, ModelInfo, ModelRef, Progress, Text, Usage
from universal_core.errors import BadRequest
from universal_core.frames import (
    MAX_FRAME,
    AnyFrame,
    Batch,
    Cancel,
    Emitted,
    Ended,
    Failed,
    FrameProtocol,
    Grant,
    Load,
    Loading,
    Memory,
    Ready,
    Run,
    encode,
    pack,
    unpack,
)
from universal_core.messages import EmbedResult, Message
from universal_core.testing import chat_request

INFO = ModelInfo(
    id="org/repo:Q4",
    ref=ModelRef.parse("org/repo:Q4"),
    source="test",
    path="/somewhere",
    revision="1" * 40,
    files=(ModelFile("a.gguf", 1 << 40),),
    documents={"config.json": {"architectures": ["A"], "nested": [1, 2.5, None, {"deep": True}]}},
    created=7,
)
CLAIM = Claim(
    backend="b",
    tasks=("chat",),
    reason="why",
    rank=60,
    memory=MemoryEstimate(1 << 40, 3),
    slots=2,
    fields=("seed",),
    files=("*.gguf",),
)
FRAMES: list[AnyFrame] = [
    Load(INFO, CLAIM, {"slots": 2, "nested": {"a": [1]}}),
    Run(1, "chat", *pack(chat_request("hällo ✓", 8)), "req_1"),
    Cancel(1),
    Grant(1, 128),
    Loading(Progress("downloading", 0.5)),
    Memory(1 << 33, 0),
    Ready(INFO, Memory(5, 6)),
    Failed(BadRequest("no", param="n", retry_after=1.0).to_failure()),
    Batch([]),
    Batch(
        [
            Emitted(1, *pack(Text(text="word"))),
            Emitted(2, *pack(Finish(reason="stop"))),
            Ended(1),
            Ended(2, BadRequest("no").to_failure(), 1),
        ]
    ),
]


class Wire:
    """A protocol that keeps what it received, and whether the other side is gone."""

    def __init__(self) -> None:
        self.frames: list[AnyFrame] = []
        self.closed = 0
        self.protocol = FrameProtocol(self.frames.append, self._close)

    def _close(self) -> None:
        self.closed += 1


def same(found: list[AnyFrame], expected: list[AnyFrame]) -> bool:
    """Compare as bytes: Raw parts hold their own buffers."""
    return list(map(encode, found)) == list(map(encode, expected))


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_every_frame_arrives_as_it_was_sent(frame: AnyFrame) -> None:
    wire = Wire()
    wire.protocol.data_received(encode(frame))
    assert type(wire.frames[0]) is type(frame)
    assert same(wire.frames, [frame])


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_a_frame_may_be_cut_anywhere(frame: AnyFrame) -> None:
    data = encode(frame)
    for cut in range(len(data) + 1):
        wire = Wire()
        wire.protocol.data_received(data[:cut])
        assert len(wire.frames) == (cut == len(data))
        wire.protocol.data_received(data[cut:])
        assert same(wire.frames, [frame])


def test_many_frames_may_come_in_one_piece_and_one_byte_at_a_time() -> None:
    data = b"".join(map(encode, FRAMES))
    whole, single = Wire(), Wire()
    whole.protocol.data_received(data)
    for byte in data:
        single.protocol.data_received(bytes([byte]))
    assert same(whole.frames, FRAMES)
    assert same(single.frames, FRAMES)


def test_what_a_frame_carries_outlives_the_bytes_that_follow_it() -> None:
    wire = Wire()
    frame = Batch([Emitted(1, *pack(Text(text="first")))])
    wire.protocol.data_received(encode(frame))
    wire.protocol.data_received(encode(Batch([Emitted(1, *pack(Text(text="later")))])) * 100)
    assert isinstance(wire.frames[0], Batch)
    item = wire.frames[0].items[0]
    assert isinstance(item, Emitted)
    assert unpack(item.schema, item.data) == Text(text="first")


def test_a_frame_over_the_limit_is_refused_before_it_is_read() -> None:
    wire = Wire()
    with pytest.raises(ValueError, match="over the limit"):
        wire.protocol.data_received((MAX_FRAME + 1).to_bytes(4, "big") + b"x")
    assert wire.frames == []


def test_bytes_that_are_no_frame_are_refused() -> None:
    wire = Wire()
    with pytest.raises(msgspec.DecodeError):
        wire.protocol.data_received((3).to_bytes(4, "big") + b"\xc1\xc1\xc1")


@pytest.mark.parametrize(
    "message",
    [
        Text(text="✓", index=2),
        Usage(prompt_tokens=3, completion_tokens=4, cached_tokens=1),
        EmbedResult.of([[1.0, 2.0], [3.0, 4.0]], 5),
        chat_request("hello", 3),
    ],
    ids=lambda message: type(message).__name__,
)
def test_every_message_of_the_domain_can_be_carried(message: Message) -> None:
    assert unpack(*pack(message)) == message


class Joke(Message, frozen=True, kw_only=True):
    """A message of a plugin."""

    punchline: str


def test_a_plugin_can_send_messages_of_its_own() -> None:
    assert unpack(f"{Joke.__module__}:Joke", pack(Joke(punchline="ha"))[1]) == Joke(punchline="ha")


@pytest.mark.parametrize("name", ["os:system", "universal_core.models:ModelRef", "builtins:dict"])
def test_nothing_but_a_message_is_made_of_what_a_worker_sends(name: str) -> None:
    with pytest.raises(TypeError, match="is not a Message"):
        unpack(name, msgspec.Raw(b"\x80"))


def test_sending_to_one_who_is_gone_does_nothing() -> None:
    async def main() -> None:
        wire = Wire()
        transport = asyncio.Transport()
        wire.protocol.connection_made(transport)
        wire.protocol.connection_lost(None)
        wire.protocol.send(Cancel(1))
        wire.protocol.close()
        assert wire.closed == 1

    asyncio.run(main())


@pytest.mark.parametrize("number", [2**70, -(2**70)])
def test_a_number_beyond_64_bits_is_the_requests_fault(number: int) -> None:
    request = msgspec.structs.replace(chat_request("hi", 1), chat_template_kwargs={"deep": [{"number": number}]})
    with pytest.raises(BadRequest, match="beyond 64 bits"):
        pack(request)
