"""WS /v1/audio/speech/stream."""

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import aclosing
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from universal_core.call import Call
from universal_core.errors import QueueFull, UniversalError
from universal_core.hookspecs import hookimpl
from universal_core.http import caller, decode, fill, reads, request_id, runtime_of, trace_headers
from universal_core.messages import AudioChunk, AudioFormat, SpeakRequest, Spoken
from universal_core.openai.sockets import ErrorEvent, serve, until_one_ends
from universal_core.openai.speech import DEFAULT_MODEL, MOST_CHARACTERS, PCM_RATE, DoneEvent, Seed, Speed, check_length
from universal_core.runtime import Runtime

MOST_WAITING = 1024
"""Messages that a client may be ahead of what is spoken."""


class SpeechQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of the connection's URL: how everything on it is to be spoken."""

    model: str = DEFAULT_MODEL
    voice: str | None = None
    response_format: AudioFormat = "pcm"
    sample_rate: Annotated[int, Meta(ge=8000, le=48000)] = PCM_RATE
    language: str | None = None
    seed: Seed | None = None

    @classmethod
    def of(cls, websocket: WebSocket) -> "SpeechQuery":
        """Read the query. Raises BadRequest."""
        query = fill(websocket, websocket.query_params, cls, DEFAULT_MODEL)
        for name in ("sample_rate", "seed"):
            text = str(query.get(name, ""))
            if text.removeprefix("-").isdecimal():
                query[name] = int(text)
        return decode(msgspec.json.encode(query), cls)


class SpeechMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client sends: text, and whether it is complete or goes on in the next message."""

    text: str
    speed: Speed = 1.0
    final: bool = True

    def joined(self, following: "SpeechMessage") -> "SpeechMessage | None":
        """Return both as one, None where they cannot be: this one is complete, or the next differs, or ends it all."""
        text = self.text + following.text
        if self.final or self.speed != following.speed or not following.text or len(text) > MOST_CHARACTERS:
            return None
        return SpeechMessage(text=text, speed=self.speed, final=following.final)


class ClosedEvent(msgspec.Struct, frozen=True, tag="closed"):
    """The end of the connection, as the client asked for it."""


Sent = ErrorEvent | ClosedEvent | DoneEvent


class Inbox:
    """Messages that were read and not yet dealt with; those that belong together become one while they wait."""

    def __init__(self) -> None:
        self._waiting: deque[SpeechMessage | UniversalError] = deque()
        self._news = asyncio.Event()

    def put(self, data: bytes) -> None:
        """Add a message; what is wrong with it is told in its turn. Raises QueueFull."""
        item: SpeechMessage | UniversalError
        try:
            item = decode(data, SpeechMessage)
            check_length(item.text, "text")
        except UniversalError as error:
            item = error
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, SpeechMessage) and isinstance(item, SpeechMessage) and (joined := last.joined(item)):
            self._waiting[-1] = joined
            return
        if len(self._waiting) >= MOST_WAITING:
            raise QueueFull(f"more than {MOST_WAITING} messages wait to be spoken; send them slower")
        self._waiting.append(item)
        self._news.set()

    async def next(self) -> SpeechMessage:
        """Return the next message. Raises BadRequest for one that is wrong."""
        while not self._waiting:
            self._news.clear()
            await self._news.wait()
        item = self._waiting.popleft()
        if isinstance(item, UniversalError):
            raise item
        return item


class SpeechSession:
    """One connection: text comes in pieces, and every sentence is spoken as soon as it is whole."""

    def __init__(self, websocket: WebSocket, query: SpeechQuery) -> None:
        self._websocket = websocket
        self._runtime = runtime_of(websocket)
        self._query = query
        self._inbox = Inbox()
        self._text = ""
        self._seconds = 0.0
        self._begun = False

    async def open(self) -> None:
        """Check what can be checked before there is a text. Raises what is wrong."""
        await self._call("", SpeechMessage(text=""))

    async def run(self) -> None:
        """Speak until the client goes, or asks for the end. Raises QueueFull."""
        await until_one_ends(self._read(), self._speak())

    async def _read(self) -> None:
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            self._inbox.put(message.get("bytes") or (message.get("text") or "").encode())

    async def _speak(self) -> None:
        over = False
        while not over:
            try:
                over = await self._answer(await self._inbox.next())
            except UniversalError as error:
                self._begin()
                await self._send(ErrorEvent.of(error))
        await self._websocket.close()

    async def _answer(self, message: SpeechMessage) -> bool:
        """Speak what a message completes; return whether it is the client's last."""
        last = message.final and not message.text
        self._text += message.text
        # Two FLAC recordings, one after the other, are not one; those of the other formats are, or can be made so.
        if self._text.strip() and (message.final or self._query.response_format != "flac"):
            await self._say(message)
        # What is left is not yet a sentence.
        check_length(self._text, "text")
        if message.final and (self._begun or not last):
            await self._send(DoneEvent(round(self._seconds, 3)))
            self._begin()
        if last:
            await self._send(ClosedEvent())
        return last

    async def _say(self, message: SpeechMessage) -> None:
        async with await self._call(self._text, message) as call, aclosing(call.batches()) as batches:
            async for batch in batches:
                for event in batch:
                    if isinstance(event, AudioChunk):
                        self._begun = True
                        await self._websocket.send_bytes(event.data)
                    elif isinstance(event, Spoken):
                        self._seconds += event.seconds
                        self._text = self._text[event.characters :]

    async def _call(self, text: str, message: SpeechMessage) -> Call:
        query, router = self._query, self._runtime.router
        plan = await router.plan(query.model, "speak")
        # What follows the header of a WAV recording is plain samples.
        goes_on = self._begun and query.response_format == "wav"
        request = SpeakRequest(
            text=text,
            voice=query.voice,
            speed=message.speed,
            language=query.language,
            seed=query.seed,
            format="pcm" if goes_on else query.response_format,
            sample_rate=query.sample_rate,
            unfinished=not message.final,
        )
        websocket = self._websocket
        number, trace = request_id(websocket), trace_headers(websocket)
        return router.call(plan, "speak", request, key=caller(websocket), request_id=number, trace=trace)

    def _begin(self) -> None:
        self._text, self._seconds, self._begun = "", 0.0, False

    async def _send(self, event: Sent) -> None:
        await self._websocket.send_text(msgspec.json.encode(event).decode())


@reads(SpeechQuery)
async def stream(websocket: WebSocket) -> None:
    """Serve a connection."""

    async def speak() -> None:
        session = SpeechSession(websocket, SpeechQuery.of(websocket))
        await session.open()
        await session.run()

    await serve(websocket, speak())


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint."""
    return [WebSocketRoute("/v1/audio/speech/stream", stream)]
