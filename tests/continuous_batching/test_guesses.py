"""Lookup: what was there before is guessed to come again."""

import random

import pytest

from universal_core.continuous_batching import Lookup


class Written:
    """A sequence as far as guessing needs it."""

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = tokens


def test_what_followed_the_longest_ending_is_guessed() -> None:
    lookup = Lookup(3)
    assert lookup.guess(Written([1, 2, 3, 4, 5, 9, 2, 3, 4])) == [5, 9, 2]  # type: ignore[arg-type]
    # Both [3, 4] and [2, 3, 4] were there; the longer one tells more, though the other is nearer.
    assert lookup.guess(Written([2, 3, 4, 5, 6, 7, 3, 4, 8, 2, 3, 4])) == [5, 6, 7]  # type: ignore[arg-type]
    assert lookup.guess(Written([1, 2, 3, 1, 4])) == []  # type: ignore[arg-type]
    assert lookup.guess(Written([1])) == []  # type: ignore[arg-type]


def test_the_last_place_counts_and_what_was_written_is_looked_up_too() -> None:
    lookup, sequence = Lookup(1), Written([1, 2, 7, 1, 2, 8, 1, 2])
    assert lookup.guess(sequence) == [8]  # type: ignore[arg-type]
    sequence.tokens += [5, 1, 2]
    assert lookup.guess(sequence) == [5]  # type: ignore[arg-type]
    lookup.forget(sequence)  # type: ignore[arg-type]
    assert not lookup._places
    assert not lookup._indexed


@pytest.mark.parametrize("seed", range(5))
def test_an_index_that_grows_equals_a_new_one(seed: int) -> None:
    dice = random.Random(seed)
    growing, sequence = Lookup(4), Written([dice.randrange(3) for _ in range(5)])
    for _ in range(60):
        assert growing.guess(sequence) == Lookup(4).guess(Written(list(sequence.tokens)))  # type: ignore[arg-type]
        sequence.tokens += [dice.randrange(3) for _ in range(dice.randint(1, 3))]
