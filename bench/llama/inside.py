"""A model of a plugin in this process, found and configured as the server does it, but without HTTP and worker."""

import importlib
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from runtimes import running
from universal_core import EmbedRequest
from universal_core.batching import batching_of
from universal_core.config import Config, ModelConfig


@asynccontextmanager
async def loaded(file: Path, task: str, options: dict[str, Any]) -> AsyncIterator[Any]:
    """Load a model with these options, and close it."""
    config = Config(model={"bench": ModelConfig(model=str(file), options=options)})
    async with running(config) as runtime:
        plan = await runtime.router.plan("bench", task)
    module, _, name = plan.backend.model.partition(":")
    wanted = msgspec.convert(plan.options, plan.backend.options)
    model = getattr(importlib.import_module(module), name)(plan.info, wanted)
    try:
        yield model
    finally:
        if hasattr(model, "close"):
            model.close()


async def embed(model: Any, texts: tuple[str, ...]) -> None:
    """Let a model embed texts that come in one request, whichever of the forms of a task it has."""
    request, batched = EmbedRequest(input=texts), batching_of(model.embed) is not None
    result = model.embed([request] if batched else request)
    if inspect.isawaitable(result):
        await result
