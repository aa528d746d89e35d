"""Who runs in the next step, on a model that is a formula: every answer is known, whatever runs beside it."""

import random
from typing import Any

import pytest

from tiny.formula import Loop, Request, prompt, walk
from universal_core.batching import take_batches


def test_answers_join_and_leave_between_steps() -> None:
    loop = Loop()
    first, second = Request(prompt(3), 5), Request(prompt(2, 1), 2)
    loop.add(first)
    assert loop.sizes(2) == [[3], [1]]
    loop.add(second)
    assert loop.sizes(4) == [[1, 2], [1, 1], [1], []]
    assert loop.turns.idle
    first.check()
    second.check()


def test_short_prompts_are_read_at_once_as_far_as_a_step_goes() -> None:
    loop = Loop(size=8)
    loop.add(*(Request(prompt(length, length), 9) for length in (3, 4, 5)))
    assert loop.sizes(3) == [[3, 4, 1], [1, 1, 4], [1, 1, 1]]


def test_a_long_prompt_is_read_at_the_pace_that_running_answers_bear(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop(size=64, cells=1000)
    monkeypatch.setattr(loop.pace, "observe", lambda *seen: None)
    monkeypatch.setattr(loop.pace, "allowance", lambda answers: 5 if answers else 64)
    loop.add(Request(prompt(2), 100))
    assert loop.sizes(2) == [[2], [1]]
    loop.add(Request(prompt(73, 1), 100))
    assert loop.sizes(3) == [[1, 5], [1, 5], [1, 5]]
    loop.add(Request(prompt(10, 2), 100))
    assert loop.sizes(2) == [[1, 10, 5], [1, 1, 5]], "a short prompt does not wait for the long one"


def test_a_long_prompt_alone_takes_whole_steps() -> None:
    loop = Loop(size=8)
    loop.add(Request(prompt(20), 3))
    assert loop.sizes(3) == [[8], [8], [4]]


def test_no_more_than_the_slots_run_and_a_free_one_goes_to_who_waited_longest() -> None:
    loop = Loop(slots=2, size=8)
    requests = [Request(prompt(2, seed), limit) for seed, limit in ((1, 6), (2, 2), (3, 2))]
    loop.add(*requests)
    assert loop.sizes(2) == [[2, 2], [1, 1]]
    assert [row.sequence for row in loop.step()] == [requests[0].answers[0], requests[2].answers[0]]
    loop.finish()
    for request in requests:
        request.check()


def test_further_answers_wait_for_a_slot_before_later_requests() -> None:
    loop = Loop(slots=2, size=8)
    several, later = Request(prompt(3), 3, count=4), Request(prompt(3, 5), 2)
    loop.add(several)
    loop.step()
    loop.add(later)
    seen: list[Any] = []
    while not loop.turns.idle:
        seen += [row.sequence for row in loop.step() if row.sequence not in seen]
    assert seen[-1] is later.answers[0]
    several.check()
    later.check()


def test_more_answers_than_the_context_has_sequences() -> None:
    loop = Loop(slots=2, size=8)
    several, other = Request(prompt(6), 4, count=20), Request(prompt(4, 1), 9)
    loop.add(other, several)
    loop.finish()
    several.check()
    other.check()


def test_the_prompt_of_several_answers_is_read_once() -> None:
    loop = Loop(slots=3, size=8)
    loop.add(Request(prompt(8), 2, count=3))
    assert loop.sizes(2) == [[8], [1, 1, 1]]


def test_when_the_cache_is_full_the_youngest_pauses_and_the_oldest_never() -> None:
    loop = Loop(slots=3, size=8, cells=40)
    requests = [Request(prompt(6, seed), 30) for seed in range(3)]
    loop.add(*requests)
    stopped: list[int] = []
    while not loop.turns.idle:
        rows = {id(row.sequence) for row in loop.step()}
        here = [place for place, request in enumerate(requests) if request.answers[0] in loop.requests]
        if here and id(requests[here[0]].answers[0]) not in rows and requests[here[0]].answers[0].written:
            stopped.append(here[0])
    assert loop.context.used() <= 40
    assert stopped == [] or 0 not in stopped, "the oldest writes in every step"
    for request in requests:
        request.check()


def test_a_prompt_that_is_in_the_cache_is_admitted_only_if_there_is_room_for_its_rest() -> None:
    loop = Loop(slots=2, size=8, cells=60)
    kept = prompt(40, 3)
    loop.add(Request(kept, 1))
    loop.finish()
    running = Request(prompt(25, 4), 20)
    loop.add(running)
    loop.sizes(4)
    # 40 of its 50 tokens are known, but they are in cells that count as available.
    late = Request(kept + prompt(10, 5), 5)
    loop.add(late)
    loop.finish(200)
    running.check()
    late.check()


def test_two_long_prompts_that_fit_only_one_after_the_other() -> None:
    loop = Loop(slots=4, size=8, cells=64)
    requests = [Request(prompt(50, 1), 10), Request(prompt(50, 2), 10), Request(prompt(5, 3), 10)]
    loop.add(*requests)
    loop.finish(200)
    for request in requests:
        request.check()


def test_what_is_read_again_after_a_pause_is_not_called_cached() -> None:
    class Told:
        cached_tokens = 0

    loop = Loop(slots=2, size=8, cells=40)
    old, young = Request(prompt(10, 1), 30), Request(prompt(20, 2), 2)
    young.answers[0].job = Told()  # type: ignore[assignment]
    loop.add(old, young)
    loop.finish()
    assert young.answers[0].job is not None
    assert young.answers[0].job.cached_tokens == 0


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 6])
def test_a_request_may_leave_at_any_time(steps: int) -> None:
    loop = Loop(slots=2, size=8, cells=64)
    stays = [Request(prompt(5, 7), 12), Request(prompt(30, 8), 6, count=2)]
    goes = [Request(prompt(20, seed), 9, count=3) for seed in range(3)]
    loop.add(stays[0], goes[0], goes[1], stays[1], goes[2])
    loop.sizes(steps)
    for request in goes:
        loop.cancel(request)
        loop.cancel(request)
    loop.finish()
    for request in stays:
        request.check()
    assert loop.cache.available == 64


@pytest.mark.parametrize("kind", ["sharing", "copying", "recurrent"])
@pytest.mark.parametrize("seed", range(25))
def test_in_a_random_walk_every_answer_is_right_and_every_request_ends(seed: int, kind: str) -> None:
    dice = random.Random(seed)
    cells, slots = dice.choice((40, 64, 100)), dice.choice((1, 2, 3, 5))
    size = dice.choice((8, 16))
    loop = Loop(slots=slots, size=size, cells=cells, divisible=kind != "recurrent", shares=kind != "copying")
    walk(loop, dice, adapters=bool(seed % 2))


def test_every_step_counts_as_a_batch_with_its_rows() -> None:
    loop = Loop()
    loop.add(Request(prompt(3), 5), Request(prompt(2, 1), 2))
    take_batches()
    sizes = loop.sizes(3)
    assert take_batches() == (3, sum(map(len, sizes)))
    loop.finish()
    take_batches()
    assert loop.turns.plan() == []
    assert take_batches() == (0, 0)
