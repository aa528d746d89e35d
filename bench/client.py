"""The thinnest streaming client there is, so that its own work does not take from the servers' processor.

It keeps each line of the stream with the moment it came, and reads what the lines say when the answer is complete.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, NamedTuple

CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"

Body = dict[str, Any]
Line = tuple[float, bytes]


class Answer(NamedTuple):
    """What was said, and when: asked for, each piece of text, the end; all seconds of one clock."""

    asked: float
    arrivals: list[float]
    ended: float
    tokens: int
    text: str

    @property
    def first(self) -> float:
        """Seconds until the first piece of text."""
        return self.arrivals[0] - self.asked

    @property
    def per_token(self) -> float:
        """Seconds a token after the first."""
        return (self.arrivals[-1] - self.arrivals[0]) / (self.tokens - 1)


def chat(text: str, tokens: int, **fields: Any) -> Body:
    """Return the body of a chat of one turn; greedy unless the fields say otherwise."""
    return {"messages": [{"role": "user", "content": text}], "max_tokens": tokens, "temperature": 0, **fields}


class Stream(NamedTuple):
    """A stream that was read: pieces of text with their moments, why it ended, and the tokens it says it has."""

    pieces: list[tuple[float, str]]
    finish: str | None
    tokens: int | None


async def ask(url: str, body: Body, path: str = CHAT) -> Answer:
    """Stream an answer to its end. Raises RuntimeError where it is refused, fails, or is not of ``max_tokens``.

    Answers of different lengths cannot be compared: a server that counts its tokens must have written all of them, and
    one that does not must say that it ended for their number.
    """
    asked = time.perf_counter()
    lines = [pair async for pair in stream(url, {**body, "stream": True}, path)]
    ended = time.perf_counter()
    pieces, finish, tokens = read(lines)
    wanted = body["max_tokens"]
    if finish != "length" or not pieces or tokens not in (wanted, None):
        raise RuntimeError(f"expected {wanted} tokens, but {tokens} came and the end was {finish!r}: {lines[-3:]}")
    words = "".join(piece for _, piece in pieces)
    return Answer(asked, [moment for moment, _ in pieces], ended, wanted, words)


def read(lines: list[Line]) -> Stream:
    """Return what stands in the lines of a stream. Raises RuntimeError for one that failed."""
    pieces, finish, tokens = [], None, None
    for moment, line in lines:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if "error" in event:
            raise RuntimeError(f"the stream failed: {event['error']}")
        for choice in event["choices"]:
            if piece := choice["delta"].get("content") if "delta" in choice else choice.get("text"):
                pieces.append((moment, piece))
            finish = choice.get("finish_reason") or finish
        tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
    return Stream(pieces, finish, tokens)


async def stream(url: str, body: Body, path: str = CHAT) -> AsyncGenerator[Line, None]:
    """Post a body and yield each line of the answer with the moment it came; closing the generator hangs up."""
    reader, writer = await _posted(url, body, path)
    try:
        chunked = await _head(reader)
        rest = b""
        async for piece in _chunks(reader) if chunked else reader:
            moment = time.perf_counter()
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield moment, line.rstrip(b"\r")
        if rest:
            yield time.perf_counter(), rest
    finally:
        writer.close()


async def post(url: str, body: Body, path: str) -> bytes:
    """Post a body and return the whole answer."""
    return b"".join([line async for _, line in stream(url, body, path)])


async def _posted(url: str, body: Body, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**24)
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
    return reader, writer


async def _head(reader: asyncio.StreamReader) -> bool:
    """Read the head of an answer; return whether its body comes in chunks. Raises RuntimeError unless it is a 200."""
    status, *fields = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    if b" 200" not in status:
        raise RuntimeError(f"{status.decode()}: {(await reader.read(2000)).decode(errors='replace')}")
    return any(field.replace(b" ", b"") == b"transfer-encoding:chunked" for field in fields)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    # A server that hangs up leaves an answer without its end, which whoever reads it notices.
    while size := int(await reader.readline() or b"0", 16):
        yield (await reader.readexactly(size + 2))[:-2]
