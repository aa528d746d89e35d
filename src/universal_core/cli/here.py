"""The API without a server: requests are answered by the application itself, in a thread of this process.

A command that works without a server goes through the same endpoints as with one; nothing listens anywhere.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, MutableMapping
from functools import cached_property
from queue import SimpleQueue
from typing import Any, TypeVar

import click
import httpx2

from universal_core.app import create_app
from universal_core.cli.client import Client, CommandError, NoServer
from universal_core.cli.options import load_config
from universal_core.config import Config
from universal_core.runtime import Runtime

Value = TypeVar("Value")
Message = MutableMapping[str, Any]
Application = Callable[..., Coroutine[Any, Any, None]]


def server_or_here(client: Client) -> Client:
    """Return the client, or one of this process where no server was named and none answers."""
    context = click.get_current_context()
    if context.params.get("url"):
        return client
    try:
        client.get("/health")
    except NoServer:
        return context.with_resource(Here(load_config(None).config))
    except CommandError:
        pass  # Something answers; what is wrong with it, the command's own request will tell.
    return client


class Here(Client):
    """The API of a runtime in this process; use it as a context manager, for leaving it ends what it started."""

    def __init__(self, config: Config) -> None:
        super().__init__("http://here")
        self._config = config

    @cached_property
    def _connections(self) -> httpx2.Client:
        return httpx2.Client(transport=RuntimeTransport(self._config), timeout=None)


class RuntimeTransport(httpx2.BaseTransport):
    """Gives requests to an application that runs in a thread of its own; its answers stream."""

    def __init__(self, config: Config) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="runtime", daemon=True)
        self._thread.start()

        async def make() -> tuple[Runtime, Application]:
            runtime = Runtime(config)
            return runtime, create_app(runtime)

        # The runtime is not started: models that a server loads at its start have no place in a command.
        self._runtime, self._app = self._do(make())

    def _do(self, work: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer as soon as its headers are there; the rest comes while it is read."""
        exchange = Exchange(self._loop, request)
        exchange.begin(self._app)
        start = exchange.take()
        if start is None:
            raise httpx2.RemoteProtocolError("the application ended without an answer")
        return httpx2.Response(start["status"], headers=start["headers"], stream=exchange)

    def close(self) -> None:
        """End the runtime, with all that it started, and the thread."""
        self._do(self._runtime.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Exchange(httpx2.SyncByteStream):
    """One request and the messages of its answer; closing it early tells the application that the client is gone."""

    def __init__(self, loop: asyncio.AbstractEventLoop, request: httpx2.Request) -> None:
        self._loop = loop
        self._request = request
        self._messages: SimpleQueue[Message | None] = SimpleQueue()
        self._gone = asyncio.Event()
        self._read = False
        self._over = threading.Event()

    def begin(self, app: Application) -> None:
        """Have the application answer."""
        asyncio.run_coroutine_threadsafe(self._run(app), self._loop)

    async def _run(self, app: Application) -> None:
        try:
            await app(self._scope(), self._receive, self._send)
        finally:
            self._messages.put(None)
            self._over.set()

    def _scope(self) -> dict[str, Any]:
        url = self._request.url
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self._request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "client": ("here", 0),
            "server": (url.host, url.port or 80),
        }

    async def _receive(self) -> Message:
        if not self._read:
            self._read = True
            return {"type": "http.request", "body": self._request.read(), "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self._messages.put(message)

    def take(self) -> Message | None:
        """Wait for the next message, None at the end."""
        return self._messages.get()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body as it comes."""
        while (message := self.take()) is not None:
            yield message.get("body", b"")
            if not message.get("more_body", False):
                return

    def close(self) -> None:
        """Tell the application that nobody reads on, and wait until it has ended what it does."""
        self._loop.call_soon_threadsafe(self._gone.set)
        self._over.wait()
