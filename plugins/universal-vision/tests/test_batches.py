"""Inputs are read in threads, computed together, and never read too far ahead."""

import asyncio
import threading
from typing import Any

import pytest

from universal_core import BadRequest
from universal_vision.batches import Batches


def test_answers_come_in_the_order_of_the_inputs() -> None:
    batches: Batches[int, int] = Batches(lambda ready: [-one for one in ready], budget=4, ahead=4)
    assert asyncio.run(batches.answer(lambda raw: raw * 10, range(50))) == [raw * -10 for raw in range(50)]
    batches.close()


def test_batches_cost_no_more_than_the_budget() -> None:
    taken: list[list[int]] = []

    def compute(ready: list[int]) -> list[int]:
        taken.append(ready)
        return ready

    batches: Batches[int, int] = Batches(compute, budget=10, ahead=100, cost=lambda ready: ready)
    asyncio.run(batches.compute([3, 3, 3, 3, 30, 1, 9]))
    assert all(sum(batch) <= 10 or len(batch) == 1 for batch in taken)
    batches.close()


def test_no_more_is_read_than_fits_ahead() -> None:
    ready, most, lock = 0, 0, threading.Lock()

    def read(raw: int) -> int:
        nonlocal ready, most
        with lock:
            ready += 1
            most = max(most, ready)
        return raw

    def compute(work: list[int]) -> list[int]:
        nonlocal ready
        with lock:
            ready -= len(work)
        return work

    batches: Batches[int, int] = Batches(compute, budget=2, ahead=5)
    asyncio.run(batches.answer(read, range(40)))
    assert most <= 5
    batches.close()


def test_no_more_is_read_before_what_was_computed_is_told() -> None:
    held, most, lock = 0, 0, threading.Lock()

    def read(raw: int) -> int:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return raw

    def finish(answer: int) -> str:
        nonlocal held
        with lock:
            held -= 1
        return str(answer)

    batches: Batches[int, int] = Batches(lambda ready: ready, budget=2, ahead=5)
    assert asyncio.run(batches.tell(read, range(40), finish)) == [str(raw) for raw in range(40)]
    assert most <= 5
    batches.close()


def test_one_batch_is_read_while_another_is_computed() -> None:
    computing, later_is_read = threading.Event(), threading.Event()

    def read(raw: str) -> str:
        if raw == "later":
            assert computing.wait(30)
            later_is_read.set()
        return raw

    def compute(ready: list[str]) -> list[bool]:
        computing.set()
        return [later_is_read.wait(30) for _ in ready]

    async def run(batches: Batches[str, bool]) -> Any:
        return await asyncio.gather(batches.answer(read, ["first"]), batches.answer(read, ["later"]))

    batches: Batches[str, bool] = Batches(compute, budget=8, ahead=8)
    assert asyncio.run(run(batches)) == [[True], [True]]
    batches.close()


def test_an_input_that_cannot_be_read_fails_its_request_alone() -> None:
    def read(raw: int) -> int:
        if raw == 7:
            raise BadRequest("images[7]: no picture", param="images[7]")
        return raw

    async def run(batches: Batches[int, int]) -> Any:
        requests = (batches.answer(read, places) for places in ([1, 2], [6, 7, 8], [3]))
        return await asyncio.gather(*requests, return_exceptions=True)

    batches: Batches[int, int] = Batches(lambda ready: ready, budget=4, ahead=2)
    first, failed, last = asyncio.run(run(batches))
    assert (first, last) == ([1, 2], [3])
    assert isinstance(failed, BadRequest)
    batches.close()


def test_what_cannot_be_computed_fails_alone() -> None:
    def compute(ready: list[int]) -> list[int]:
        if 5 in ready:
            raise RuntimeError("five")
        return ready

    async def run(batches: Batches[int, int]) -> Any:
        return await asyncio.gather(batches.compute([1, 2]), batches.compute([5]), return_exceptions=True)

    batches: Batches[int, int] = Batches(compute, budget=8, ahead=8)
    good, bad = asyncio.run(run(batches))
    assert good == [1, 2]
    with pytest.raises(RuntimeError, match="five"):
        raise bad
    batches.close()
