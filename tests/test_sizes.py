"""Sizes and times as people read them."""

import pytest

from universal_core.sizes import lasting


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (22, "22 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (3540, "59 min"),
        (3600, "1 h 0 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_times_are_told_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert lasting(seconds) == text
