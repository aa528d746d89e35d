"""Inputs are put together by length, within the budget, and none is lost."""

import pytest

from universal_text.batches import cut_batches

LENGTHS = [7, 200, 3, 64, 64, 1, 130, 9, 64, 255, 12]


@pytest.mark.parametrize("budget", [1, 64, 300, 10_000])
@pytest.mark.parametrize("allowance", [0, 50, 10_000])
def test_each_input_is_in_one_batch_within_budget_and_allowance(budget: int, allowance: int) -> None:
    batches = list(cut_batches(LENGTHS, budget, allowance))
    assert sorted(place for batch in batches for place in batch) == list(range(len(LENGTHS)))
    for batch in batches:
        padded = max(LENGTHS[place] for place in batch) * len(batch)
        assert padded <= budget or len(batch) == 1
        assert padded - sum(LENGTHS[place] for place in batch) <= allowance


def test_the_longest_come_first_and_equals_keep_their_order() -> None:
    assert list(cut_batches([3, 9, 3, 9], budget=100, allowance=0)) == [[1, 3], [0, 2]]


def test_short_inputs_join_as_long_as_their_padding_is_cheap() -> None:
    assert list(cut_batches([10, 8, 1], budget=100, allowance=5)) == [[0, 1], [2]]


def test_no_inputs_make_no_batches() -> None:
    assert list(cut_batches([], budget=10, allowance=10)) == []
