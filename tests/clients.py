"""A client of the whole application in this process, without a socket."""

import asyncio
from collections.abc import Callable, Coroutine
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
