"""Pictures are made ready in a few threads while another thread computes what is ready, as many at once as wait."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from universal_core import Batcher, Batching, usable_cores

Raw = TypeVar("Raw")
Ready = TypeVar("Ready")
Answer = TypeVar("Answer")
Told = TypeVar("Told")

_MOST_READERS = 8


class Batches(Generic[Ready, Answer]):
    """The engine of a backend whose task methods are coroutines: inputs of all requests that run are batched together.

    Pillow and the tokenizers let go of Python's lock while they work, so that one batch is read while another is
    computed.
    """

    def __init__(
        self,
        compute: Callable[[list[Ready]], Sequence[Answer]],
        *,
        budget: int,
        ahead: int,
        cost: Callable[[Ready], int] = lambda _: 1,
        group: Callable[[Ready], Hashable] = lambda _: None,
    ) -> None:
        """``compute`` answers inputs in their order, which cost at most ``budget`` together unless one alone does.

        Inputs of different groups are never computed together.
        What is ready takes memory, so no more than ``ahead`` inputs are read before they are answered.
        """
        self._readers = ThreadPoolExecutor(min(usable_cores(), _MOST_READERS), "read")
        self._computing = ThreadPoolExecutor(1, "compute")
        self._batcher = Batcher(compute, Batching(cost, budget, group), lambda work: _within(self._computing, work))
        self._room = asyncio.Semaphore(ahead)

    async def answer(self, read: Callable[[Raw], Ready], inputs: Sequence[Raw]) -> list[Answer]:
        """Return what is computed of each input, after ``read`` has made it ready in a thread."""
        return await together([self._answer(read, raw) for raw in inputs])

    async def tell(
        self, read: Callable[[Raw], Ready], inputs: Sequence[Raw], finish: Callable[[Answer], Told]
    ) -> list[Told]:
        """Return what ``finish`` makes of each answer, in a thread, before another input is read in its place."""
        return await together([self._tell(read, raw, finish) for raw in inputs])

    async def compute(self, inputs: Sequence[Ready]) -> list[Answer]:
        """Return what is computed of each input that is ready."""
        return await together([self._batcher(ready) for ready in inputs])

    async def read(self, work: Callable[[], list[Ready]]) -> list[Ready]:
        """Return what a function returns that makes inputs ready; it runs in a thread."""
        ready: list[Ready] = await _within(self._readers, work)
        return ready

    def close(self) -> None:
        """End the threads."""
        self._readers.shutdown(cancel_futures=True)
        self._computing.shutdown(cancel_futures=True)

    async def _answer(self, read: Callable[[Raw], Ready], raw: Raw) -> Answer:
        async with self._room:
            return await self._computed(read, raw)

    async def _tell(self, read: Callable[[Raw], Ready], raw: Raw, finish: Callable[[Answer], Told]) -> Told:
        async with self._room:
            answer = await self._computed(read, raw)
            told: Told = await _within(self._readers, lambda: finish(answer))
            return told

    async def _computed(self, read: Callable[[Raw], Ready], raw: Raw) -> Answer:
        ready = await _within(self._readers, lambda: read(raw))
        answer: Answer = await self._batcher(ready)
        return answer


async def _within(threads: Executor, work: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(threads, work)


async def together(work: Sequence[Any]) -> list[Any]:
    """Return what all return; the first that fails ends the others."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
