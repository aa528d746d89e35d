"""Methods that answer many requests at once, and the queue that feeds them."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial, wraps
from typing import Any, NamedTuple, TypeVar, overload

import msgspec

_lock = threading.Lock()
_computed = [0, 0]
Method = TypeVar("Method", bound=Callable[..., Any])
_MARK = "__universal_batched__"


class Batching(msgspec.Struct, frozen=True):
    """How waiting requests may be put together: what one costs, how much a batch may cost, and what goes with what.

    Requests of different groups are never in one batch; without ``group`` all are of the same. ``prepare`` makes of a
    list of requests what the method gets in their place, and what ``cost`` and ``group`` are asked about.
    """

    cost: Callable[[Any], int]
    budget: int
    group: Callable[[Any], Hashable] = lambda request: None
    prepare: Callable[[list[Any]], Sequence[Any]] | None = None


@overload
def batched(*, cost: Callable[[Any], int], budget: int) -> Callable[[Method], Method]: ...


@overload
def batched(
    *, cost: Callable[[Any], int], budget: int, prepare: Callable[[Any, list[Any]], Sequence[Any]]
) -> Callable[[Callable[[Any, list[Any]], Sequence[Any]]], Callable[[Any, list[Any]], list[Any]]]: ...


def batched(
    *, cost: Callable[[Any], int], budget: int, prepare: Callable[[Any, list[Any]], Sequence[Any]] | None = None
) -> Any:
    """Declare that a model's method takes a list of requests and returns a list of results in the same order.

    ``cost`` estimates a request (in tokens, say) and a batch stays under ``budget`` where it has more than one
    request. An exception in place of a result fails that request alone; one that is raised makes the worker run
    the requests of that batch one by one, so that a bad request never harms its neighbours.

    ``prepare`` is a function of the model and a list of requests, such as a method that stands above this one. The
    worker calls it as soon as requests arrive, on a thread of its own, while the model computes; what it returns for
    each request is what ``cost`` is asked about and what the method gets in its place. Exceptions are as above. It
    must not touch what the method changes. A direct call of the method prepares its requests first.
    """

    def mark(method: Callable[..., Any]) -> Any:
        declared = _preparing(method, prepare) if prepare else method
        setattr(declared, _MARK, _Declared(cost, budget, prepare, method))
        return declared

    return mark


def note_batch(rows: int) -> None:
    """Count a batch of so many rows, for the metrics; an engine that puts requests together calls it at every step.

    A row is what is computed beside others: a request, a sequence, a picture. The worker itself counts batched methods.
    """
    with _lock:
        _computed[0] += 1
        _computed[1] += rows


def take_batches() -> tuple[int, int]:
    """Return the batches that this process computed since the last time, and the rows in them."""
    with _lock:
        batches, rows = _computed
        _computed[:] = 0, 0
    return batches, rows


class _Declared(NamedTuple):
    """What ``batched`` was given; the functions are of the class, not yet of a model."""

    cost: Callable[[Any], int]
    budget: int
    prepare: Callable[[Any, list[Any]], Sequence[Any]] | None
    method: Callable[..., Any]


def _preparing(method: Callable[..., Any], prepare: Callable[[Any, list[Any]], Sequence[Any]]) -> Callable[..., Any]:
    @wraps(method)
    def answer(model: Any, requests: list[Any]) -> list[Any]:
        ready = prepare(model, requests)
        results = iter(method(model, [one for one in ready if not isinstance(one, BaseException)]))
        return [one if isinstance(one, BaseException) else next(results) for one in ready]

    return answer


def batching_of(method: object) -> Batching | None:
    """Return how a method wants its requests put together, None for one that takes a single request."""
    found = getattr(method, _MARK, None)
    if not isinstance(found, _Declared):
        return None
    prepare = partial(found.prepare, getattr(method, "__self__", None)) if found.prepare else None
    return Batching(found.cost, found.budget, prepare=prepare)


def answering(method: Callable[..., Any]) -> Callable[[list[Any]], Sequence[Any]]:
    """Return what answers a list of prepared requests: of a batched method that prepares none, the method itself."""
    found = getattr(method, _MARK, None)
    if not isinstance(found, _Declared) or found.prepare is None:
        return method
    return partial(found.method, getattr(method, "__self__", None))


Run = Callable[[Callable[[], Any]], Awaitable[Any]]


class Batcher:
    """Feeds a batched method with whatever waits when the model becomes free; it never waits to fill a batch."""

    def __init__(
        self,
        method: Callable[[list[Any]], Sequence[Any]],
        batching: Batching,
        run: Run,
        read: Run | None = None,
    ) -> None:
        """``run`` executes a function on the model's thread, and ``read`` on that which prepares; else both are one."""
        self._method = method
        self._batching = batching
        self._run = run
        self._read = read or run
        self._arrived: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._waiting: deque[tuple[int, Any, asyncio.Future[Any]]] = deque()
        self._preparing: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, request: Any) -> Any:
        """Return the result for one request."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._batching.prepare is None:
            self._wait(self._batching.cost(request), request, done)
        else:
            self._arrived.append((request, done))
            if self._preparing is None:
                self._preparing = asyncio.create_task(self._prepare(self._batching.prepare))
        return await done

    def _wait(self, cost: int, request: Any, done: asyncio.Future[Any]) -> None:
        self._waiting.append((cost, request, done))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())

    async def _prepare(self, prepare: Callable[[list[Any]], Sequence[Any]]) -> None:
        """Prepare whatever has arrived, until nothing is left, while the model computes."""

        def made(requests: list[Any]) -> list[Any]:
            ready = prepare(requests)
            return [one if isinstance(one, BaseException) else (self._batching.cost(one), one) for one in ready]

        try:
            while self._arrived:
                batch = [item for item in self._arrived if not item[1].done()]
                self._arrived.clear()
                requests = [request for request, _ in batch]
                found = await self._read(partial(attempt, made, requests)) if requests else ()
                for (_, done), one in zip(batch, found, strict=True):
                    if isinstance(one, BaseException):
                        _settle(done, one)
                    else:
                        cost, ready = one
                        self._wait(cost, ready, done)
        finally:
            self._preparing = None

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
        note_batch(len(requests))
        results = await self._run(partial(attempt, self._method, requests))
        for (_, done), result in zip(batch, results, strict=True):
            _settle(done, result)


def _settle(done: asyncio.Future[Any], result: Any) -> None:
    """Give a request its result, or the exception in its place, if anybody still waits for it."""
    if done.done():
        return
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
