"""A runtime with nothing but one model, driven from plain functions."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from universal_core.config import Config, ModelConfig, PoolConfig
from universal_core.entry import Entry
from universal_core.messages import GenerationRequest, Message, Request
from universal_core.runtime import Runtime

DEADLINE = 300.0
Value = TypeVar("Value")


class Bench:
    """Runs jobs on a model in a real worker process; close it when done."""

    def __init__(self, model: str, entry: ModelConfig) -> None:
        self._runner = asyncio.Runner()
        self._runtime = self._do(self._start(Config(model={model: entry}, pool=PoolConfig(measurements=""))))
        self.plan = self._do(self._runtime.router.plan(model))

    @staticmethod
    async def _start(config: Config) -> Runtime:
        return Runtime(config)

    def _do(self, work: Coroutine[Any, Any, Value]) -> Value:
        async def limited() -> Value:
            async with asyncio.timeout(DEADLINE):
                return await work

        return self._runner.run(limited())

    def close(self) -> None:
        """End the worker."""
        self._do(self._runtime.stop())
        self._runner.close()

    def repeatable(self, request: Request) -> Request:
        """Return the request with whatever makes its answer the same each time, as far as the claim honours it."""
        fields = set(self.plan.claim.fields)
        if not isinstance(request, GenerationRequest):
            return request
        if "temperature" in fields:
            return msgspec.structs.replace(request, temperature=0.0)
        return msgspec.structs.replace(request, seed=1) if "seed" in fields else request

    def run(self, task: str, request: Request) -> list[Message]:
        """Return all messages of a job."""
        return self.together(task, [request])[0]

    def together(self, task: str, requests: Sequence[Request]) -> list[list[Message]]:
        """Return all messages of jobs that run at once."""
        return self._do(self._together(task, requests))

    async def _together(self, task: str, requests: Sequence[Request]) -> list[list[Message]]:
        return await asyncio.gather(*(self._run(task, request) for request in requests))

    async def _run(self, task: str, request: Request) -> list[Message]:
        async with self._runtime.router.call(self.plan, task, self.repeatable(request)) as call:
            return [message async for batch in call.batches() for message in batch]

    def cancel(self, task: str, request: Request) -> int:
        """Leave a job after its first events; return the steps that the model took once its worker knew."""
        return self._do(self._cancel(task, request))

    async def _cancel(self, task: str, request: Request) -> int:
        lease = await self._runtime.pool.lease(self.plan, "bench")
        stream = lease.run(task, self.repeatable(request), "bench")
        batches = stream.batches()
        await anext(batches)
        await batches.aclose()
        lease.release()
        await stream.ended
        return stream.late

    def entry(self) -> Entry:
        """Return the loaded model as the pool has it."""
        return self._runtime.pool.entries[self.plan.key]

    def unload(self) -> int:
        """Unload the model; return the number of workers that ended."""
        return self._do(self._runtime.pool.unload(self.plan.name, "the test asks for it"))
