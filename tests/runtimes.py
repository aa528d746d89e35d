"""A runtime in this process, without HTTP: for tests of what stands behind the endpoints."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from universal_core import Message, Request, Text
from universal_core.config import Config, Sources
from universal_core.runtime import Runtime
from universal_core.testing import chat_request

DEADLINE = 30.0


@asynccontextmanager
async def running(config: Config | None = None, sources: Sources | None = None) -> AsyncIterator[Runtime]:
    """Make a runtime, and stop it with all that it started."""
    runtime = Runtime(config or Config(), sources)
    try:
        yield runtime
    finally:
        await runtime.stop()


async def ask(runtime: Runtime, model: str, text: str = "hello there", task: str = "chat") -> str:
    """Return what a model says."""
    messages = await send(runtime, model, task, chat_request(text, 1000))
    return "".join(message.text for message in messages if isinstance(message, Text))


async def send(runtime: Runtime, model: str, task: str, request: Request) -> list[Message]:
    """Return all messages of a model's answer."""
    plan = await runtime.router.plan(model, task)
    async with runtime.router.call(plan, task, request) as call:
        return [message async for batch in call.batches() for message in batch]
