"""What crosses the socketpair between the HTTP process and a worker: length-prefixed msgpack of tagged Structs."""

import asyncio
import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from universal_core.errors import BadRequest, Failure
from universal_core.messages import Message
from universal_core.models import Claim, ModelInfo, Progress

_LENGTH = 4
MAX_FRAME = 1 << 30
WINDOW = 256
"""Events of one job that may be under way unread; the reader grants more as it reads, so each job waits for its own."""


class Frame(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """One message between the two processes."""


class Load(Frame, frozen=True, tag=True, array_like=True):
    """Load this model; the first frame that a worker gets."""

    info: ModelInfo
    claim: Claim
    options: dict[str, Any]


class Fetch(Frame, frozen=True, tag=True, array_like=True):
    """Bring the claim's files of this model to this machine; the only frame that such a process gets."""

    info: ModelInfo
    claim: Claim


class Run(Frame, frozen=True, tag=True, array_like=True):
    """Run a request as job number ``job``."""

    job: int
    task: str
    schema: str
    data: msgspec.Raw
    request_id: str = ""


class Cancel(Frame, frozen=True, tag=True, array_like=True):
    """Nobody waits for this job any more."""

    job: int


class Grant(Frame, frozen=True, tag=True, array_like=True):
    """This many events of the job were read, so as many more may be sent."""

    job: int
    count: int


class Busy(Frame, frozen=True, tag=True, array_like=True):
    """So many models, this one included, compute on the processor now; until the first of these it is one."""

    models: int


class Loading(Frame, frozen=True, tag=True, array_like=True):
    """How far the load, or the download, has come."""

    progress: Progress


class Memory(Frame, frozen=True, tag=True, array_like=True):
    """The bytes that the worker takes now: of the machine's memory, and on an accelerator."""

    system: int
    device: int


class Ready(Frame, frozen=True, tag=True, array_like=True):
    """The model is loaded."""

    info: ModelInfo
    memory: Memory


class Fetched(Frame, frozen=True, tag=True, array_like=True):
    """The model's files are here."""

    info: ModelInfo


class Failed(Frame, frozen=True, tag=True, array_like=True):
    """The model could not be loaded, or its files not be fetched."""

    failure: Failure


class Emitted(msgspec.Struct, frozen=True, tag="e", array_like=True):
    """One event or result of a job."""

    job: int
    schema: str
    data: msgspec.Raw


class Ended(msgspec.Struct, frozen=True, tag="x", array_like=True):
    """A job is over; ``late`` counts the steps that the model took after it was told to stop.

    ``batches`` is what the worker has computed since it last said so, and ``rows`` what they had in them together.
    """

    job: int
    failure: Failure | None = None
    late: int = 0
    batches: int = 0
    rows: int = 0


class Batch(Frame, frozen=True, tag=True, array_like=True):
    """Everything that jobs produced since the last frame, in order."""

    items: list[Emitted | Ended]


AnyFrame = Load | Fetch | Run | Cancel | Grant | Busy | Loading | Ready | Fetched | Failed | Memory | Batch
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AnyFrame)


def encode(frame: AnyFrame) -> bytes:
    """Return the bytes of a frame, its length first."""
    buffer = bytearray(_LENGTH)
    _encoder.encode_into(frame, buffer, _LENGTH)
    buffer[:_LENGTH] = (len(buffer) - _LENGTH).to_bytes(_LENGTH, "big")
    return bytes(buffer)


def pack(message: Message) -> tuple[str, msgspec.Raw]:
    """Return the name of a message's class and the message's bytes, for a frame to carry.

    Raises BadRequest for a number beyond 64 bits, which JSON may have anywhere and no frame can carry.
    """
    try:
        return _name_of(type(message)), msgspec.Raw(_encoder.encode(message))
    except OverflowError:
        raise BadRequest("a number of the request is beyond 64 bits; send a smaller one") from None


def unpack(name: str, data: msgspec.Raw) -> Message:
    """Return the message that a frame carried. Raises TypeError where the name is not that of a Message."""
    return _decoder_of(name).decode(data)


@cache
def _name_of(cls: type[Message]) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


@cache
def _decoder_of(name: str) -> msgspec.msgpack.Decoder[Message]:
    module, _, qualified = name.partition(":")
    cls: Any = importlib.import_module(module)
    for part in qualified.split("."):
        cls = getattr(cls, part)
    if not (isinstance(cls, type) and issubclass(cls, Message)):
        raise TypeError(f"{name} is not a Message")
    return msgspec.msgpack.Decoder(cls)


class FrameProtocol(asyncio.Protocol):
    """Cuts a byte stream into frames; measured faster than asyncio's streams, four times so on large frames."""

    def __init__(self, received: Callable[[AnyFrame], None], closed: Callable[[], None]) -> None:
        self._received = received
        self._closed = closed
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to write to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand over every frame that is complete."""
        self._buffer += data
        start, end = 0, len(self._buffer)
        while end - start >= _LENGTH:
            length = int.from_bytes(self._buffer[start : start + _LENGTH], "big")
            if length > MAX_FRAME:
                raise ValueError(f"a frame of {length} bytes is over the limit of {MAX_FRAME}")
            if end - start - _LENGTH < length:
                break
            start += _LENGTH
            # Raw fields must outlive the buffer, so they get bytes of their own.
            self._received(_decoder.decode(bytes(self._buffer[start : start + length])))
            start += length
        if start:
            del self._buffer[:start]

    def connection_lost(self, error: Exception | None) -> None:
        """Tell that the other side is gone."""
        self._transport = None
        self._closed()

    def send(self, frame: AnyFrame) -> None:
        """Write a frame, or nothing once the other side is gone."""
        if self._transport is not None:
            self._transport.write(encode(frame))

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()
