"""WS /v1/audio/transcriptions/stream."""

import asyncio
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from universal_core.call import Call
from universal_core.errors import BadRequest, InternalError, UniversalError
from universal_core.hookspecs import hookimpl
from universal_core.http import caller, check, decode, fill, reads, request_id, runtime_of, trace_headers
from universal_core.messages import ListenRequest, ListenResult, Segment
from universal_core.openai.languages import language_code
from universal_core.openai.sockets import ErrorEvent, send_event, serve, until_one_ends
from universal_core.runtime import Runtime

SAMPLE_BYTES = 2
MOST_SECONDS = 60.0
"""How far a client may be ahead of what was heard; more is not read until the model catches up."""


class ListenQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of the connection's URL: what the samples are, and how they are to be heard."""

    model: str | None = None
    sample_rate: Annotated[int, Meta(ge=8000, le=48000)] = 16000
    language: str | None = None
    prompt: str | None = None
    hotwords: str | None = None
    silence_ms: Annotated[int, Meta(ge=100, le=10_000)] = 600
    interval_ms: Annotated[int, Meta(ge=100, le=10_000)] = 500

    def to_request(self, audio: bytes, *, final: bool) -> ListenRequest:
        """Return the domain's request."""
        return ListenRequest(
            audio=audio,
            sample_rate=self.sample_rate,
            final=final,
            silence=self.silence_ms / 1000,
            language=language_code(self.language) if self.language else None,
            prompt=self.prompt or None,
            hotwords=self.hotwords or None,
        )


class EndMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sends as text: the recording is over."""

    type: Literal["end"]


class TextEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What was heard: ``final`` will not change, and the next ``partial`` takes the place of a partial."""

    type: Literal["partial", "final"]
    text: str
    start: float
    end: float

    @classmethod
    def of(cls, segment: Segment, shift: float, type: Literal["partial", "final"]) -> "TextEvent":
        """Return the event for a segment of audio that begins ``shift`` seconds into the recording."""
        return cls(
            type=type,
            text=segment.text.strip(),
            start=round(segment.start + shift, 3),
            end=round(segment.end + shift, 3),
        )


class DoneEvent(msgspec.Struct, frozen=True, tag="done"):
    """All of a recording was heard; the next one may begin."""

    duration: float


class Recording:
    """What came of a recording and is not finished, and how much of it is."""

    def __init__(self, rate: int) -> None:
        self.over = False
        self.seconds_heard = 0.0
        self._rate = rate
        self._waiting = bytearray()
        self._new = 0
        self._changed = asyncio.Condition()

    @property
    def seconds(self) -> float:
        """How long it is so far."""
        return self.seconds_heard + len(self._waiting) / SAMPLE_BYTES / self._rate

    async def add(self, data: bytes) -> None:
        """Add samples, once there is room. Raises BadRequest for half a sample."""
        if len(data) % SAMPLE_BYTES:
            raise BadRequest(f"expected samples of {SAMPLE_BYTES} bytes each, got {len(data)} bytes")
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._waiting) < self._bytes(MOST_SECONDS))
            self._waiting += data
            self._new += len(data)
            self._changed.notify_all()

    async def end(self) -> None:
        """Say that no more will come."""
        async with self._changed:
            self.over = True
            self._changed.notify_all()

    async def take(self, interval: float) -> tuple[bytes, bool]:
        """Wait for so many seconds of new sound, or for the end; return what is not finished, and whether it is all."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.over or self._new >= self._bytes(interval))
            self._new = 0
            return bytes(self._waiting), self.over

    async def finish(self, samples: int) -> None:
        """Drop samples from the beginning, for they were heard."""
        async with self._changed:
            del self._waiting[: samples * SAMPLE_BYTES]
            self.seconds_heard += samples / self._rate
            self._changed.notify_all()

    def _bytes(self, seconds: float) -> int:
        return int(seconds * self._rate) * SAMPLE_BYTES


class Listening:
    """One connection: samples come in, and what was said goes out, recording after recording."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._runtime = runtime_of(websocket)
        self._query = check(fill(websocket, websocket.query_params, ListenQuery), ListenQuery)
        self._recording = Recording(self._query.sample_rate)
        self._heard = asyncio.Event()

    async def run(self) -> None:
        """Listen until the client goes. Raises what is wrong from the start."""
        await self._call(b"", final=False)
        await until_one_ends(self._read(), self._listen())

    async def _read(self) -> None:
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            try:
                await self._accept(message.get("bytes"), message.get("text"))
            except UniversalError as error:
                await self._tell(ErrorEvent.of(error))

    async def _accept(self, data: bytes | None, text: str | None) -> None:
        """Take a message; what comes after the end of a recording waits until all of that was heard."""
        if data is not None:
            await self._recording.add(data)
            return
        decode((text or "").encode(), EndMessage)
        self._heard.clear()
        await self._recording.end()
        await self._heard.wait()

    async def _listen(self) -> None:
        while True:
            recording = self._recording
            audio, final = await recording.take(self._query.interval_ms / 1000)
            try:
                await self._hear(recording, audio, final=final)
            except UniversalError as error:
                # What could not be heard is dropped, so that the same is not tried for ever.
                await recording.finish(len(audio) // SAMPLE_BYTES)
                await self._tell(ErrorEvent.of(error))
            if final:
                await self._tell(DoneEvent(round(recording.seconds, 3)))
                self._recording = Recording(self._query.sample_rate)
                self._heard.set()

    async def _hear(self, recording: Recording, audio: bytes, *, final: bool) -> None:
        if not audio:
            return
        shift = recording.seconds_heard
        async with await self._call(audio, final=final) as call:
            messages = [message async for batch in call.batches() for message in batch]
        result = messages[0] if messages else None
        if not isinstance(result, ListenResult):
            raise InternalError("the model's answer to listen is no ListenResult")
        for segment in result.segments:
            await self._tell(TextEvent.of(segment, shift, "final"))
        if result.partial is not None:
            await self._tell(TextEvent.of(result.partial, shift, "partial"))
        await recording.finish(result.consumed)

    async def _call(self, audio: bytes, *, final: bool) -> Call:
        router, websocket = self._runtime.router, self._websocket
        plan = await router.plan(self._query.model, "listen")
        request = self._query.to_request(audio, final=final)
        number, trace = request_id(websocket), trace_headers(websocket)
        return router.call(plan, "listen", request, key=caller(websocket), request_id=number, trace=trace)

    async def _tell(self, event: ErrorEvent | TextEvent | DoneEvent) -> None:
        await send_event(self._websocket, event)


@reads(ListenQuery)
async def stream(websocket: WebSocket) -> None:
    """Serve a connection."""

    async def listen() -> None:
        await Listening(websocket).run()

    await serve(websocket, listen())


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint."""
    return [WebSocketRoute("/v1/audio/transcriptions/stream", stream)]
