"""Methods that answer many requests at once, and the queue that feeds them."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, TypeVar

import msgspec

Method = TypeVar("Method", bound=Callable[..., Any])
_MARK = "__universal_batched__"


class Batching(msgspec.Struct, frozen=True):
    """How waiting requests may be put together: what one costs, how much a batch may cost, and what goes with what.

    Requests of different groups are never in one batch; without ``group`` all are of the same.
    """

    cost: Callable[[Any], int]
    budget: int
    group: Callable[[Any], Hashable] = lambda request: None


def batched(*, cost: Callable[[Any], int], budget: int) -> Callable[[Method], Method]:
    """Declare that a model's method takes a list of requests and returns a list of results in the same order.

    ``cost`` estimates a request (in tokens, say) and a batch stays under ``budget`` where it has more than one
    request. An exception in place of a result fails that request alone; one that is raised makes the worker run
    the requests of that batch one by one, so that a bad request never harms its neighbours.
    """

    def mark(method: Method) -> Method:
        setattr(method, _MARK, Batching(cost, budget))
        return method

    return mark


def batching_of(method: object) -> Batching | None:
    """Return how a method wants its requests put together, None for one that takes a single request."""
    found = getattr(method, _MARK, None)
    return found if isinstance(found, Batching) else None


class Batcher:
    """Feeds a batched method with whatever waits when the model becomes free; it never waits to fill a batch."""

    def __init__(
        self,
        method: Callable[[list[Any]], Sequence[Any]],
        batching: Batching,
        run: Callable[[Callable[[], Any]], Awaitable[Any]],
    ) -> None:
        """``run`` executes a function on the model's thread."""
        self._method = method
        self._batching = batching
        self._run = run
        self._waiting: deque[tuple[int, Any, asyncio.Future[Any]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, request: Any) -> Any:
        """Return the result for one request."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._batching.cost(request), request, done))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await done

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch = self._take()
                if batch:
                    await self._answer(batch)
        finally:
            self._task = None

    def _take(self) -> list[tuple[Any, asyncio.Future[Any]]]:
        """Take of the first one's group, in order of arrival, as much as the budget allows; then sort by cost."""
        waiting = [item for item in self._waiting if not item[2].done()]
        taken, left = waiting[:1], waiting[1:]
        spent = sum(cost for cost, _, _ in taken)
        self._waiting = deque()
        for place, item in enumerate(left):
            cost, request, _ = item
            if self._batching.group(request) != self._batching.group(taken[0][1]):
                self._waiting.append(item)
                continue
            if spent + cost > self._batching.budget:
                self._waiting.extend(left[place:])
                break
            taken.append(item)
            spent += cost
        taken.sort(key=lambda item: item[0])
        return [(request, done) for _, request, done in taken]

    async def _answer(self, batch: list[tuple[Any, asyncio.Future[Any]]]) -> None:
        requests = [request for request, _ in batch]
        results = await self._run(lambda: attempt(self._method, requests))
        for (_, done), result in zip(batch, results, strict=True):
            if done.done():
                continue
            if isinstance(result, BaseException):
                done.set_exception(result)
            else:
                done.set_result(result)


def attempt(method: Callable[[list[Any]], Sequence[Any]], requests: list[Any]) -> Sequence[Any]:
    """Answer all requests together, or one by one where that raises; what failed is its exception."""
    try:
        results = method(requests)
        if len(results) == len(requests):
            return results
        error: Exception = TypeError(f"{method!r} answered {len(requests)} requests with {len(results)} results")
    except Exception as raised:  # noqa: BLE001 - the worker's boundary: whatever a model raises belongs to its request
        error = raised
    if len(requests) == 1:
        return [error]
    return [attempt(method, [request])[0] for request in requests]
