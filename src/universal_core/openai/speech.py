"""POST /v1/audio/speech."""

import base64
from collections.abc import AsyncGenerator, Iterable, Sequence
from functools import partial
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.call import Call
from universal_core.errors import BadRequest
from universal_core.hookspecs import hookimpl
from universal_core.http import ByteStream, EventStream, data, frames, open_call, read_json, reads, runtime_of
from universal_core.messages import AudioChunk, AudioFormat, Message, SpeakRequest, Spoken, Usage
from universal_core.runtime import Runtime

DEFAULT_MODEL = "kokoro"
MOST_CHARACTERS = 4096
"""OpenAI's limit of one text."""

PCM_RATE = 24000
"""The samples per second of plain samples, which say nothing about themselves; OpenAI's, whatever the model's own."""

MEDIA_TYPES: dict[AudioFormat, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}

Speed = Annotated[float, Meta(ge=0.25, le=4.0)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class VoiceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A voice by its id, the other form that OpenAI's API has for it."""

    id: str


class SpeechBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body; null means the same as leaving a field out."""

    input: str
    model: str | None = None
    voice: str | VoiceBody | None = None
    response_format: AudioFormat | None = None
    speed: Speed | None = None
    stream: bool | None = None
    stream_format: Literal["sse", "audio"] | None = None
    instructions: str | None = None
    language: str | None = None
    seed: Seed | None = None

    @property
    def shape(self) -> Literal["bytes", "events", "openai"]:
        """How the recording is to come: as itself, as this server's events, or as those of OpenAI."""
        if self.stream_format is not None:
            return "openai" if self.stream_format == "sse" else "bytes"
        return "events" if self.stream else "bytes"

    @property
    def format(self) -> AudioFormat:
        """What the recording is encoded in; events are plain samples unless another format is asked for."""
        return self.response_format or ("pcm" if self.shape == "events" else "mp3")

    def to_request(self) -> SpeakRequest:
        """Return the domain's request. Raises BadRequest."""
        return SpeakRequest(
            text=check_text(self.input, "input"),
            voice=self.voice.id if isinstance(self.voice, VoiceBody) else self.voice,
            speed=1.0 if self.speed is None else self.speed,
            language=self.language,
            instructions=self.instructions or None,
            seed=self.seed,
            format=self.format,
            sample_rate=PCM_RATE if self.format == "pcm" else None,
        )


def check_text(text: str, param: str) -> str:
    """Return a text that can be spoken. Raises BadRequest for an empty one and one over the limit."""
    if not text.strip():
        raise BadRequest(f"{param}: expected a text to speak, got an empty one", param=param)
    check_length(text, param)
    return text


def check_length(text: str, param: str) -> None:
    """Raise BadRequest for a text over the limit."""
    if len(text) > MOST_CHARACTERS:
        raise BadRequest(
            f"{param}: at most {MOST_CHARACTERS} characters in one request, got {len(text)}; send several", param=param
        )


class AudioEvent(msgspec.Struct, frozen=True, tag="audio"):
    """A piece of the recording, as base64."""

    data: str
    format: AudioFormat
    sample_rate: int


class DoneEvent(msgspec.Struct, frozen=True, tag="done"):
    """The end of the recording, with its length in seconds."""

    duration: float


class AudioDelta(msgspec.Struct, frozen=True, tag="speech.audio.delta"):
    """A piece of the recording, as base64, as OpenAI writes it."""

    audio: str


class SpeechUsage(msgspec.Struct, frozen=True):
    """Tokens read and frames of sound made."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class AudioDone(msgspec.Struct, frozen=True, tag="speech.audio.done"):
    """The end of the recording, as OpenAI writes it."""

    usage: SpeechUsage


def write_bytes(batch: Sequence[Message]) -> bytes:
    """Return the recording's bytes among some events."""
    return b"".join(event.data for event in batch if isinstance(event, AudioChunk))


def write_events(batch: Sequence[Message], format: AudioFormat) -> bytes:
    """Return some events as this server writes them."""
    written = b""
    for event in batch:
        if isinstance(event, AudioChunk):
            written += data(AudioEvent(_base64(event.data), format, event.sample_rate))
        elif isinstance(event, Spoken):
            written += data(DoneEvent(round(event.seconds, 3)))
    return written


class OpenAIEvents:
    """Writes the events of a recording as OpenAI does: the last has what the model counted before."""

    def __init__(self) -> None:
        self._usage = Usage()

    def write(self, batch: Sequence[Message]) -> bytes:
        """Return some events."""
        return b"".join(map(self._event, batch))

    def _event(self, event: Message) -> bytes:
        match event:
            case AudioChunk():
                return data(AudioDelta(_base64(event.data)))
            case Usage():
                self._usage = event
            case Spoken():
                used = self._usage
                return data(AudioDone(SpeechUsage(used.prompt_tokens, used.completion_tokens, used.total_tokens)))
        return b""


def _base64(audio: bytes) -> str:
    return base64.b64encode(audio).decode()


async def _recording(call: Call) -> AsyncGenerator[bytes]:
    async with call:
        async for batch in call.batches():
            yield write_bytes(batch)


@reads(SpeechBody)
async def create(request: Request) -> Response:
    """Speak a text, as a recording or as events, sent as it is made."""
    body = await read_json(request, SpeechBody, DEFAULT_MODEL)
    call = await open_call(request, body.model or DEFAULT_MODEL, "speak", body.to_request())
    if body.shape == "bytes":
        return ByteStream(request, _recording(call), MEDIA_TYPES[body.format], call.timings)
    write = OpenAIEvents().write if body.shape == "openai" else partial(write_events, format=body.format)
    return EventStream(request, frames(call, write, runtime_of(request).config.server.keepalive), call.timings)


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint."""
    return [Route("/v1/audio/speech", create, methods=["POST"])]
