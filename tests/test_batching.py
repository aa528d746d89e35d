"""Batched methods: what is put together, in what order, and that nobody suffers from a neighbour."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from universal_core.batching import Batcher, Batching, answering, attempt, batched, batching_of


class Recorder:
    """A batched method that keeps what it was given, and the thread that it would run on."""

    def __init__(self, method: Callable[[list[Any]], Sequence[Any]] = lambda requests: requests) -> None:
        self.batches: list[list[Any]] = []
        self.free = asyncio.Event()
        self._method = method

    def __call__(self, requests: list[Any]) -> Sequence[Any]:
        self.batches.append(list(requests))
        return self._method(requests)

    async def run(self, function: Callable[[], Any]) -> Any:
        await self.free.wait()
        return function()


def answers(
    requests: list[Any],
    *,
    budget: int = 100,
    method: Callable[[list[Any]], Sequence[Any]] = list,
    batching: Batching | None = None,
) -> Any:
    """Return what each of several waiting requests gets, and the batches that were made of them."""

    async def main() -> tuple[list[Any], list[list[Any]]]:
        recorder = Recorder(method)
        batcher = Batcher(recorder, batching or Batching(cost, budget), recorder.run)
        jobs = [asyncio.ensure_future(batcher(request)) for request in requests]
        await asyncio.sleep(0)
        recorder.free.set()
        return await asyncio.gather(*jobs, return_exceptions=True), recorder.batches

    return asyncio.run(main())


def cost(request: str) -> int:
    return len(request)


def test_a_batch_stays_under_the_budget_and_takes_requests_as_they_came() -> None:
    found, batches = answers(["aaa", "bb", "cccc", "d"], budget=5)
    assert found == ["aaa", "bb", "cccc", "d"]
    assert [sum(map(len, batch)) for batch in batches] == [5, 5]
    assert batches == [["bb", "aaa"], ["d", "cccc"]]


def test_a_batch_has_requests_of_one_group_and_the_others_keep_their_order() -> None:
    batching = Batching(cost, 4, group=str.isupper)
    found, batches = answers(["a", "BB", "c", "D", "ee", "f"], batching=batching)
    assert found == ["a", "BB", "c", "D", "ee", "f"]
    assert batches == [["a", "c", "ee"], ["D", "BB"], ["f"]]


def test_a_batch_is_sorted_by_cost_and_its_results_find_their_requests() -> None:
    found, batches = answers(
        ["ccc", "a", "bb"], budget=100, method=lambda requests: [text.upper() for text in requests]
    )
    assert batches == [["a", "bb", "ccc"]]
    assert found == ["CCC", "A", "BB"]


def test_a_request_over_the_budget_runs_alone() -> None:
    found, batches = answers(["a", "b" * 50, "c"], budget=10)
    assert batches == [["a"], ["b" * 50], ["c"]]
    assert found == ["a", "b" * 50, "c"]


def test_an_exception_in_place_of_a_result_fails_that_request_alone() -> None:
    def method(requests: list[str]) -> list[Any]:
        return [ValueError("no") if text == "bad" else text for text in requests]

    found, batches = answers(["one", "bad", "two"], budget=100, method=method)
    assert (found[0], str(found[1]), found[2]) == ("one", "no", "two")
    assert len(batches) == 1


def test_an_exception_that_is_raised_fails_only_the_request_that_causes_it() -> None:
    def method(requests: list[str]) -> list[str]:
        if "bad" in requests:
            raise ValueError("cannot read it")
        return requests

    found, batches = answers(["one", "bad", "two"], budget=100, method=method)
    assert (found[0], str(found[1]), found[2]) == ("one", "cannot read it", "two")
    assert batches[1:] == [["one"], ["bad"], ["two"]]


def test_a_method_that_returns_the_wrong_number_of_results_never_mixes_them_up() -> None:
    found, _ = answers(["one", "two"], budget=100, method=lambda requests: requests[:1])
    assert found == ["one", "two"], "each is right when it is asked alone"
    (alone,) = attempt(lambda requests: [], ["one"])
    assert isinstance(alone, TypeError)
    assert "answered 1 requests with 0 results" in str(alone)


def test_a_request_that_nobody_waits_for_is_not_run() -> None:
    async def main() -> list[list[str]]:
        recorder = Recorder()
        batcher = Batcher(recorder, Batching(cost, 1), recorder.run)
        jobs = [asyncio.ensure_future(batcher(text)) for text in ("a", "b", "c")]
        await asyncio.sleep(0)
        jobs[1].cancel()
        await asyncio.sleep(0)
        recorder.free.set()
        assert [await jobs[0], await jobs[2]] == ["a", "c"]
        return recorder.batches

    assert asyncio.run(main()) == [["a"], ["c"]]


def test_a_request_cancelled_while_its_batch_runs_leaves_the_others_their_results() -> None:
    async def main() -> list[Any]:
        recorder = Recorder()
        batcher = Batcher(recorder, Batching(cost, 100), recorder.run)
        jobs = [asyncio.ensure_future(batcher(text)) for text in ("a", "b")]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        jobs[0].cancel()
        recorder.free.set()
        return await asyncio.gather(*jobs, return_exceptions=True)

    first, second = asyncio.run(main())
    assert isinstance(first, asyncio.CancelledError)
    assert second == "b"


def test_requests_that_come_while_a_batch_runs_make_the_next_one() -> None:
    async def main() -> list[list[str]]:
        recorder = Recorder()
        batcher = Batcher(recorder, Batching(cost, 100), recorder.run)
        jobs = [asyncio.ensure_future(batcher("a"))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        jobs += [asyncio.ensure_future(batcher(text)) for text in ("bb", "c")]
        await asyncio.sleep(0)
        recorder.free.set()
        await asyncio.gather(*jobs)
        return recorder.batches

    assert asyncio.run(main()) == [["a"], ["c", "bb"]]


def test_a_batcher_works_again_after_it_was_idle() -> None:
    async def main() -> list[str]:
        recorder = Recorder()
        recorder.free.set()
        batcher = Batcher(recorder, Batching(cost, 100), recorder.run)
        return [await batcher("a"), await batcher("b")]

    assert asyncio.run(main()) == ["a", "b"]


def test_a_cost_that_cannot_be_told_fails_its_request_alone() -> None:
    async def main() -> tuple[Any, Any]:
        recorder = Recorder()
        recorder.free.set()
        batcher = Batcher(recorder, Batching(cost, 100), recorder.run)
        with pytest.raises(TypeError):
            await batcher(7)
        return await batcher("a"), recorder.batches

    assert asyncio.run(main()) == ("a", [["a"]])


def test_the_decorator_marks_a_method_and_leaves_it_callable() -> None:
    class Model:
        @batched(cost=len, budget=3)
        def embed(self, requests: list[str]) -> list[str]:
            return requests

        def chat(self, request: str) -> str:
            return request

    model = Model()
    batching = batching_of(model.embed)
    assert batching is not None
    assert (batching.cost("four"), batching.budget) == (4, 3)
    assert model.embed(["x"]) == ["x"]
    assert batching_of(model.chat) is None


class Reading:
    """A model that spells its requests before it answers them."""

    def __init__(self) -> None:
        self.read: list[list[str]] = []

    def spell(self, requests: list[str]) -> list[Any]:
        self.read.append(requests)
        if "unreadable" in requests:
            raise ValueError("cannot read it")
        return [ValueError("bad") if text == "bad" else list(text) for text in requests]

    @batched(cost=len, budget=4, prepare=spell)
    def embed(self, spelled: list[list[str]]) -> list[Any]:
        return [len(letters) for letters in spelled]


def prepared(model: Reading, run: Callable[[Callable[[], Any]], Any], read: Callable[[Callable[[], Any]], Any]) -> Any:
    batching = batching_of(model.embed)
    assert batching is not None
    return Batcher(answering(model.embed), batching, run, read)


async def at_once(function: Callable[[], Any]) -> Any:
    return function()


def test_a_direct_call_prepares_its_requests_and_leaves_errors_in_their_places() -> None:
    one, other, third = Reading().embed(["a", "bad", "ccc"])
    assert (one, str(other), third) == (1, "bad", 3)


def test_requests_are_prepared_together_and_cost_what_was_made_of_them() -> None:
    async def main() -> None:
        model, batches = Reading(), []

        async def run(function: Callable[[], Any]) -> Any:
            found = function()
            batches.append(found)
            return found

        batcher = prepared(model, run, at_once)
        assert await asyncio.gather(*map(batcher, ["aaa", "b", "ccc"])) == [3, 1, 3]
        assert model.read == [["aaa", "b", "ccc"]]
        assert batches == [[1, 3], [3]]

    asyncio.run(main())


def test_what_cannot_be_prepared_fails_alone() -> None:
    async def main() -> None:
        batcher = prepared(Reading(), at_once, at_once)
        found = await asyncio.gather(*map(batcher, ["a", "bad", "unreadable", "cc"]), return_exceptions=True)
        assert [str(one) for one in found] == ["1", "bad", "cannot read it", "2"]

    asyncio.run(main())


def test_the_next_requests_are_prepared_while_the_model_computes() -> None:
    async def main() -> None:
        model, computing, read = Reading(), asyncio.Event(), asyncio.Event()

        async def run(function: Callable[[], Any]) -> Any:
            computing.set()
            # The model is not free before the second request has been read.
            await read.wait()
            return function()

        async def reading(function: Callable[[], Any]) -> Any:
            found = function()
            if len(model.read) == 2:
                read.set()
            return found

        batcher = prepared(model, run, reading)
        first = asyncio.ensure_future(batcher("a"))
        await computing.wait()
        assert await asyncio.gather(first, batcher("bb")) == [1, 2]
        assert model.read == [["a"], ["bb"]]

    asyncio.run(main())


def test_a_request_that_nobody_waits_for_is_not_prepared() -> None:
    async def main() -> None:
        model = Reading()
        batcher = prepared(model, at_once, at_once)
        jobs = [asyncio.ensure_future(batcher(text)) for text in ("a", "b")]
        await asyncio.sleep(0)
        jobs[0].cancel()
        assert await jobs[1] == 1
        assert model.read == [["b"]]

    asyncio.run(main())
