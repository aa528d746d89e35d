"""Letting contenders take turns, so that whatever else the machine does hits all of them."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from bench.comparison import Samples

Contender = TypeVar("Contender")


def turns(contenders: Mapping[str, Contender], rounds: int, *, warm: int = 1) -> Iterator[tuple[int, str, Contender]]:
    """Yield each contender in each round with the round's number, in another order every other round.

    Rounds that only warm up come first and have numbers below 0.
    """
    for number in range(-warm, rounds):
        names = list(contenders)
        for name in names if number % 2 == 0 else reversed(names):
            yield number, name, contenders[name]


def in_turns(contenders: Mapping[str, Callable[[], float]], rounds: int, *, warm: int = 1) -> Samples:
    """Return what each contender returned in each round."""
    samples: Samples = {name: [] for name in contenders}
    for number, name, contender in turns(contenders, rounds, warm=warm):
        value = contender()
        if number >= 0:
            samples[name].append(value)
    return samples
