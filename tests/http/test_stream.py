"""Server-sent events: headers with the first bytes, errors as a status or as the last event, and leaving clients."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from starlette.requests import Request

from universal_core.errors import QueueFull, RequestAborted
from universal_core.http import DONE, EventStream, comment, data, until_disconnect
from universal_core.http.scope import NOTES
from universal_core.http.stream import server_timing


class Client:
    """The other end of one request."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self.scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "headers": [], NOTES: {}}

    async def receive(self) -> dict[str, Any]:
        """Say nothing until it goes away."""
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Take what the server sends."""
        self.sent.append(dict(message))

    @property
    def body(self) -> bytes:
        """All bytes that came."""
        return b"".join(message.get("body", b"") for message in self.sent)

    async def stream(self, frames: AsyncGenerator[bytes], timings: dict[str, float] | None = None) -> None:
        """Be sent some events."""
        request = Request(self.scope, self.receive)
        await EventStream(request, frames, timings)(self.scope, self.receive, self.send)


def served(frames: Callable[[], AsyncGenerator[bytes]], timings: dict[str, float] | None = None) -> Client:
    async def main() -> Client:
        client = Client()
        await client.stream(frames(), timings)
        return client

    return asyncio.run(main())


def test_an_event_has_a_name_where_its_api_gives_it_one() -> None:
    assert data({"a": 1}) == b'data: {"a":1}\n\n'
    assert data({"a": 1}, event="one.two") == b'event: one.two\ndata: {"a":1}\n\n'


def test_events_are_sent_as_they_come_and_the_stream_is_ended() -> None:
    async def frames() -> AsyncGenerator[bytes]:
        yield data({"a": "ü"})
        yield b""
        yield comment("two\nlines")
        yield DONE

    client = served(frames, {"queue": 0.001, "load": 2.0})
    assert client.body == 'data: {"a":"ü"}\n\n: two lines\n\ndata: [DONE]\n\n'.encode()
    first, last = client.sent[0], client.sent[-1]
    headers = dict(first["headers"])
    assert (first["status"], headers[b"content-type"]) == (200, b"text/event-stream; charset=utf-8")
    assert headers[b"cache-control"] == b"no-cache"
    assert headers[b"server-timing"] == b"queue;dur=1.0, load;dur=2000.0, prefill;dur=0.0, generate;dur=0.0"
    assert last == {"type": "http.response.body", "body": b"", "more_body": False}


def test_an_error_before_the_first_bytes_is_a_status_of_its_own() -> None:
    async def frames() -> AsyncGenerator[bytes]:
        raise QueueFull("come later", retry_after=1.2)
        yield b""

    client = served(frames)
    assert client.sent[0]["status"] == 429
    assert (b"retry-after", b"2") in client.sent[0]["headers"]
    assert b"come later" in client.body


def test_an_error_after_the_first_bytes_is_the_last_event() -> None:
    async def frames() -> AsyncGenerator[bytes]:
        yield data(1)
        raise QueueFull("come later")

    client = served(frames)
    assert client.sent[0]["status"] == 200
    *_, event, rest = client.body.split(b"\n\n")
    assert event.startswith(b'data: {"error":{"message":"come later"')
    assert rest == b""
    assert client.sent[-1]["more_body"] is False


def test_a_client_that_leaves_closes_the_events() -> None:
    async def main() -> None:
        client = Client()
        closed = asyncio.Event()

        async def frames() -> AsyncGenerator[bytes]:
            try:
                yield data(1)
                client.gone.set()
                await asyncio.Event().wait()
            finally:
                closed.set()

        await client.stream(frames())
        assert closed.is_set()
        assert client.scope[NOTES] == {"aborted": True}
        assert client.sent[-1]["more_body"] is True

    asyncio.run(main())


def test_work_for_a_client_that_leaves_is_cancelled() -> None:
    async def main() -> None:
        client = Client()
        stopped = asyncio.Event()

        async def work() -> None:
            try:
                client.gone.set()
                await asyncio.Event().wait()
            finally:
                stopped.set()

        with pytest.raises(RequestAborted):
            await until_disconnect(Request(client.scope, client.receive), work())
        assert stopped.is_set()

    asyncio.run(main())


@pytest.mark.parametrize("error", [QueueFull("full"), RuntimeError("broken")])
def test_what_work_raises_is_raised(error: Exception) -> None:
    async def main() -> None:
        client = Client()

        async def work() -> None:
            raise error

        with pytest.raises(type(error)):
            await until_disconnect(Request(client.scope, client.receive), work())

    asyncio.run(main())


def test_times_are_told_in_milliseconds_and_all_of_them_always() -> None:
    assert server_timing({"generate": 0.0125}) == "queue;dur=0.0, load;dur=0.0, prefill;dur=0.0, generate;dur=12.5"
