"""How much of a long prompt joins a step: what is learnt from steps, and what follows from it."""

import pytest

from universal_gguf.generation.pace import SLOWDOWN, Pace


def taught(most: int = 512, *, alone: float = 0.01, token: float = 0.001) -> Pace:
    """Return a pace that knows what a step of two answers takes, and a token of a prompt beside it."""
    pace = Pace(most)
    for _ in range(30):
        pace.observe(2, 0, alone)
        pace.observe(2, 100, alone + 100 * token)
    return pace


def test_without_answers_a_prompt_takes_all() -> None:
    assert Pace(512).allowance(0) == 512
    assert taught().allowance(0) == 512


def test_before_anything_is_known_a_few_tokens_join() -> None:
    assert Pace(512).allowance(3) == 8
    assert Pace(4).allowance(3) == 4


def test_as_many_tokens_join_as_the_slowdown_has_time_for() -> None:
    assert taught(alone=0.01, token=0.001).allowance(2) == pytest.approx((SLOWDOWN - 1) * 10, abs=1)
    assert taught(alone=0.01, token=0.0001).allowance(2) == pytest.approx((SLOWDOWN - 1) * 100, abs=1)


def test_a_step_with_that_many_takes_no_longer_than_the_slowdown() -> None:
    for alone, token in ((0.01, 0.001), (0.02, 0.0003), (0.003, 0.0001)):
        count = taught(alone=alone, token=token).allowance(2)
        assert alone + count * token <= SLOWDOWN * alone * 1.01


def test_one_token_always_joins_so_that_every_prompt_ends() -> None:
    assert taught(alone=0.001, token=1.0).allowance(2) == 1


def test_no_more_joins_than_a_step_has_room_for() -> None:
    assert taught(most=16, alone=1.0, token=1e-6).allowance(2) == 16


def test_a_number_of_answers_that_was_not_seen_goes_by_the_nearest() -> None:
    pace = taught(alone=0.01, token=0.001)
    for _ in range(30):
        pace.observe(10, 0, 0.1)
    assert pace.allowance(3) == pace.allowance(2)
    assert pace.allowance(9) == pace.allowance(10) == pytest.approx(10 * pace.allowance(2), abs=10)
    assert pace.allowance(6) == pace.allowance(2), "in the middle the smaller one counts"


def test_it_follows_a_change_and_one_slow_step_does_not_upset_it() -> None:
    pace = taught(alone=0.01, token=0.001)
    before = pace.allowance(2)
    pace.observe(2, 10, 0.5)
    pace.observe(2, 10, 0.02)
    assert 1 <= pace.allowance(2) <= before
    for _ in range(30):
        pace.observe(2, 10, 0.01 + 10 * 0.0001)
    assert pace.allowance(2) == pytest.approx(10 * before, rel=0.2)


def test_a_step_faster_than_one_without_a_prompt_means_nothing_absurd() -> None:
    pace = taught(alone=0.01, token=0.001)
    for _ in range(30):
        pace.observe(2, 10, 0.005)
    assert 1 <= pace.allowance(2) <= 512


def test_prompts_alone_say_nothing_about_how_they_disturb() -> None:
    pace = Pace(512)
    pace.observe(0, 512, 3.0)
    assert pace.allowance(1) == 8
