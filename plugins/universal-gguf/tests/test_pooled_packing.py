"""Texts that go through the model together."""

import pytest

from universal_gguf.pooled.packing import pack


@pytest.mark.parametrize(
    ("lengths", "groups"),
    [
        ([], []),
        ([5], [[0]]),
        ([4, 4, 4], [[0, 1], [2]]),
        ([2, 9, 3], [[1], [2, 0]]),
        ([7, 1, 6, 3, 2], [[0, 1, 4], [2, 3]]),
        ([30, 2, 3], [[0], [2, 1]]),
    ],
)
def test_groups_begin_with_the_longest_and_are_filled_with_the_shortest(
    lengths: list[int], groups: list[list[int]]
) -> None:
    assert list(pack(lengths, tokens=10, texts=8)) == groups


def test_a_group_has_no_more_texts_than_allowed() -> None:
    assert [len(group) for group in pack([1] * 7, tokens=100, texts=3)] == [3, 3, 1]


def test_every_text_is_in_one_group() -> None:
    lengths = [place * 37 % 101 + 1 for place in range(500)]
    groups = list(pack(lengths, tokens=256, texts=128))
    assert sorted(place for group in groups for place in group) == list(range(500))
    assert all(sum(lengths[place] for place in group) <= 256 for group in groups)


def test_few_groups_stay_half_empty() -> None:
    lengths = [place * 37 % 101 + 1 for place in range(500)]
    groups = list(pack(lengths, tokens=256, texts=128))
    assert len(groups) <= 1.1 * sum(lengths) / 256
