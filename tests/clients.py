"""A client of the whole application in this process, without a socket."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import httpx

from runtimes import DEADLINE, running
from universal_core.app import create_app
from universal_core.config import Config

Use = Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]]


def using(use: Use, config: Config | None = None) -> Any:
    """Use a client of the application."""

    async def main() -> Any:
        async with asyncio.timeout(DEADLINE), running(config) as runtime:
            transport = httpx.ASGITransport(create_app(runtime), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=DEADLINE) as client:
                return await use(client)

    return asyncio.run(main())


@contextmanager
def serving(config: Config | None = None) -> Iterator[Callable[..., httpx.Response]]:
    """Give a function that posts to one and the same application, whose models stay: ``post(path, json=…)``."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start() -> httpx.AsyncClient:
            runtime = await stack.enter_async_context(running(config))
            transport = httpx.ASGITransport(create_app(runtime), raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url="http://test", timeout=DEADLINE)
            return await stack.enter_async_context(client)

        client = runner.run(start())
        try:
            yield lambda path, **options: runner.run(client.post(path, **options))
        finally:
            runner.run(stack.aclose())


def posted(path: str, body: dict[str, Any], config: Config | None = None) -> httpx.Response:
    """Return the answer to one request."""

    async def use(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(path, json=body)

    found: httpx.Response = using(use, config)
    return found


def outcome(response: httpx.Response) -> tuple[int, str | None, str | None]:
    """Return status, code and param of an error."""
    error = response.json()["error"]
    return response.status_code, error["code"], error["param"]
