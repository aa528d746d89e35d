"""POST /v1/audio/transcriptions and /v1/audio/translations."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.call import Call
from universal_core.errors import BadRequest, TaskNotSupported, UnsupportedField
from universal_core.hookspecs import hookimpl
from universal_core.http import (
    EventStream,
    Upload,
    answer,
    answer_text,
    collect,
    data,
    frames,
    open_call,
    read_form,
    reads,
    runtime_of,
)
from universal_core.media import read_media
from universal_core.messages import Message, Segment, TranscribeRequest, Usage
from universal_core.openai.languages import language_code
from universal_core.openai.transcripts import PLAIN_FORMS, TokenUsage, Transcript
from universal_core.runtime import Runtime

Task = Literal["transcribe", "translate"]
NO_SPEAKERS = (
    "{param}: no installed plugin tells speakers apart; that needs a diarization model, which universal-audio does not"
    " run. Leave it out"
)


class TranslationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body of translations; null means the same as leaving a field out."""

    file: str | Upload
    model: str | None = None
    prompt: str | None = None
    response_format: Literal["json", "text", "srt", "vtt", "verbose_json", "diarized_json"] | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    stream: bool | None = None
    vad_filter: bool | None = None
    hotwords: str | None = None
    diarize: bool | None = None

    @property
    def granularities(self) -> Sequence[str]:
        """What is to be told with times."""
        return ()

    def check(self) -> None:
        """Refuse what no model here can do. Raises BadRequest, TaskNotSupported."""
        if self.diarize:
            raise TaskNotSupported(NO_SPEAKERS.format(param="diarize"), param="diarize")
        if self.response_format == "diarized_json":
            raise TaskNotSupported(NO_SPEAKERS.format(param="response_format"), param="response_format")
        if self.stream and self.response_format not in (None, "json", "text"):
            raise BadRequest(
                f"response_format: a stream has events of its own, so {self.response_format} cannot be sent with "
                "stream true; leave one of them out",
                param="response_format",
            )

    async def to_request(self, runtime: Runtime) -> TranscribeRequest:
        """Return the domain's request. Raises BadRequest, Forbidden, PayloadTooLarge, TaskNotSupported."""
        self.check()
        if isinstance(self.file, Upload):
            audio = self.file.data
        else:
            audio = await read_media(self.file, runtime.config.media, "file")
        if not audio:
            raise BadRequest("file: expected a recording, got an empty file", param="file")
        return TranscribeRequest(
            audio=audio,
            prompt=self.prompt or None,
            temperature=self.temperature or None,
            vad_filter=bool(self.vad_filter),
            hotwords=self.hotwords or None,
        )


class TranscriptionBody(TranslationBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body of transcriptions."""

    language: str | None = None
    timestamp_granularities: list[Literal["word", "segment"]] | None = None
    keywords: list[str] | None = None
    include: list[Literal["logprobs"]] | None = None
    chunking_strategy: Literal["auto"] | dict[str, Any] | None = None
    languages: list[str] | None = None
    known_speaker_names: list[str] | None = None
    known_speaker_references: list[str] | None = None

    @property
    def granularities(self) -> Sequence[str]:
        """What is to be told with times."""
        return self.timestamp_granularities or ()

    def check(self) -> None:
        """Refuse what no model here can do. Raises BadRequest, TaskNotSupported."""
        super().check()
        for name in ("known_speaker_names", "known_speaker_references"):
            if getattr(self, name):
                raise TaskNotSupported(NO_SPEAKERS.format(param=name), param=name)
        if self.granularities and self.response_format != "verbose_json":
            raise BadRequest(
                "timestamp_granularities: only with response_format verbose_json; set it or leave this out",
                param="timestamp_granularities",
            )
        if isinstance(self.chunking_strategy, dict):
            raise UnsupportedField(
                'chunking_strategy: recordings are always cut where nobody speaks; send "auto" or leave it out',
                param="chunking_strategy",
            )
        for name, advice in (("include", "leave it out"), ("languages", "use language")):
            if getattr(self, name):
                raise UnsupportedField(f"{name}: not supported by this server; {advice}", param=name)
        if self.keywords and self.hotwords:
            raise BadRequest("keywords and hotwords mean the same, so send one of them", param="keywords")

    async def to_request(self, runtime: Runtime) -> TranscribeRequest:
        """Return the domain's request. Raises BadRequest, Forbidden, PayloadTooLarge, TaskNotSupported."""
        return msgspec.structs.replace(
            await super().to_request(runtime),
            language=language_code(self.language) if self.language else None,
            words="word" in self.granularities,
            hotwords=self.hotwords or ", ".join(self.keywords or ()) or None,
        )


class DeltaEvent(msgspec.Struct, frozen=True, tag="transcript.text.delta"):
    """Text to append to the transcript."""

    delta: str


class DoneEvent(msgspec.Struct, frozen=True, tag="transcript.text.done", omit_defaults=True):
    """The whole transcript."""

    text: str
    usage: TokenUsage | None = None


class Deltas:
    """Writes a model's events as OpenAI's; all deltas together are the text of the last event."""

    def __init__(self) -> None:
        self._text = ""
        self._space = ""
        self._usage: Usage | None = None

    def write(self, batch: Sequence[Message]) -> bytes:
        """Return the events for some of the model's."""
        written = b""
        for message in batch:
            if isinstance(message, Usage):
                self._usage = message
            elif isinstance(message, Segment) and (delta := self._delta(message.text)):
                written += data(DeltaEvent(delta))
        return written

    def _delta(self, text: str) -> str:
        """Return what a segment adds: space at the end waits for what follows, if anything does."""
        text = self._space + text if self._text else text.lstrip()
        delta = text.rstrip()
        self._space = text[len(delta) :]
        self._text += delta
        return delta

    def done(self) -> bytes:
        """Return the last event."""
        return data(DoneEvent(self._text, TokenUsage.of(self._usage) if self._usage else None))


@reads(TranscriptionBody)
async def transcribe(request: Request) -> Response:
    """Write down what is said in a recording."""
    return await _create(request, await read_form(request, TranscriptionBody), "transcribe")


@reads(TranslationBody)
async def translate(request: Request) -> Response:
    """Write down in English what is said in a recording."""
    return await _create(request, await read_form(request, TranslationBody), "translate")


async def _create(request: Request, body: TranslationBody, task: Task) -> Response:
    call = await open_call(request, body.model, task, await body.to_request(runtime_of(request)))
    if body.stream:
        return EventStream(request, _stream(request, call), call.timings)
    (messages,) = await collect(request, [call])
    transcript = Transcript.of(messages)
    if body.response_format in PLAIN_FORMS:
        write, media_type = PLAIN_FORMS[body.response_format]
        return answer_text(write(transcript), [call], media_type)
    if body.response_format == "verbose_json":
        return answer(transcript.verbose(task, body.granularities), [call])
    return answer(transcript.plain(), [call])


async def _stream(request: Request, call: Call) -> AsyncGenerator[bytes]:
    deltas = Deltas()
    events = frames(call, deltas.write, runtime_of(request).config.server.keepalive)
    try:
        async for frame in events:
            yield frame
    finally:
        await events.aclose()
    yield deltas.done()


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoints."""
    return [
        Route("/v1/audio/transcriptions", transcribe, methods=["POST"]),
        Route("/v1/audio/translations", translate, methods=["POST"]),
    ]
