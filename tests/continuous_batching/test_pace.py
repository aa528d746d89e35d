"""How much of a long prompt joins a step: what is learnt from steps, and what follows from it."""

import pytest

from universal_core.continuous_batching.pace import LEAST, SLOWDOWN, Pace


def run(pace: Pace, steps: int, *, alone: float, token: float, answers: int = 2) -> tuple[float, list[int]]:
    """Read an endless prompt beside answers; return how long a step takes on average, and what joined each."""
    joined, seconds = [], 0.0
    for _ in range(steps):
        count = pace.allowance(answers)
        took = alone + count * token
        pace.observe(answers, count, took)
        joined.append(count)
        seconds += took
    return seconds / steps, joined


def test_without_answers_a_prompt_takes_all() -> None:
    pace = Pace(512)
    assert pace.allowance(0) == 512
    run(pace, 20, alone=0.02, token=0.004)
    assert pace.allowance(0) == 512


@pytest.mark.parametrize(("most", "expected"), [(512, LEAST), (4, 4)])
def test_a_step_alone_comes_first_and_then_a_few_tokens_join(most: int, expected: int) -> None:
    pace = Pace(most)
    assert pace.allowance(3) == 0
    pace.observe(3, 0, 0.02)
    assert pace.allowance(3) == expected


@pytest.mark.parametrize(
    ("alone", "token"), [(0.02, 0.004), (0.1, 0.005), (0.005, 0.00002), (0.02, 0.02), (0.003, 0.0001)]
)
def test_on_average_a_token_takes_no_longer_than_the_slowdown(alone: float, token: float) -> None:
    mean, joined = run(Pace(512), 500, alone=alone, token=token)
    assert mean <= SLOWDOWN * alone * 1.05
    assert sum(joined) > 0


def test_where_prompts_cost_little_they_join_every_step() -> None:
    _, joined = run(Pace(512), 100, alone=0.005, token=0.000004)
    assert set(joined[5:]) == {512}


def test_where_they_cost_much_they_join_now_and_then_and_not_in_drops() -> None:
    _, joined = run(Pace(512), 200, alone=0.02, token=0.004)
    assert 0 in joined
    assert min(count for count in joined if count) >= LEAST


def test_a_step_takes_a_few_times_as_long_and_no_more() -> None:
    alone, token = 0.02, 0.0002
    _, joined = run(Pace(512), 300, alone=alone, token=token)
    assert max(joined[5:]) * token <= 5 * alone


def test_every_prompt_ends_however_slow_it_is() -> None:
    _, joined = run(Pace(512), 10_000, alone=0.001, token=0.05)
    assert sum(count > 0 for count in joined) >= 3


def test_no_more_joins_than_a_step_has_room_for() -> None:
    _, joined = run(Pace(16), 50, alone=1.0, token=1e-6)
    assert max(joined) == 16


def test_a_long_time_without_prompts_is_not_saved_up() -> None:
    pace = Pace(512)
    for _ in range(1000):
        pace.observe(2, 0, 0.02)
    _, joined = run(pace, 10, alone=0.02, token=0.004)
    assert sum(count > 0 for count in joined) <= 3


def test_prompts_alone_say_nothing_about_how_they_disturb() -> None:
    pace = Pace(512)
    pace.observe(0, 512, 3.0)
    assert pace.allowance(1) == 0
    pace.observe(1, 0, 0.02)
    assert pace.allowance(1) == LEAST
