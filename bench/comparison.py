"""What a measurement finds: quantities of several contenders, a sample a round of each, and their goals."""

import statistics
from collections.abc import Iterable, Sequence

import msgspec

Samples = dict[str, list[float]]


class Goal(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the first contender should reach: a ratio to another one, or without that a value."""

    to: str | None = None
    least: float | None = None
    most: float | None = None

    def met(self, found: float) -> bool:
        """Whether a value is as it should be."""
        return (self.least is None or found >= self.least) and (self.most is None or found <= self.most)


class Comparison(msgspec.Struct, frozen=True):
    """One quantity of one or more contenders; the first of them is the project's, and every goal is about it."""

    case: str
    quantity: str
    unit: str
    samples: Samples
    goals: tuple[Goal, ...] = ()

    def __post_init__(self) -> None:
        # A goal that is about a contender that is left out says nothing.
        known = tuple(goal for goal in self.goals if goal.to is None or goal.to in self.samples)
        msgspec.structs.force_setattr(self, "goals", known)

    @property
    def first(self) -> str:
        """The contender that all ratios are of."""
        return next(iter(self.samples))

    def value(self, goal: Goal) -> float:
        """Return what a goal is about: a ratio, or the median of the first contender."""
        own = self.samples[self.first]
        return statistics.median(own) if goal.to is None else ratio(own, self.samples[goal.to])

    def missed(self) -> list[Goal]:
        """Return the goals that were not reached."""
        return [goal for goal in self.goals if not goal.met(self.value(goal))]


class Found(msgspec.Struct, frozen=True):
    """What one measurement found, and in a few words on what."""

    about: str
    comparisons: list[Comparison]
    notes: list[str] = []
    """What a reader of the figures must know, for instance who was left out."""


def median(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Return the median of the rounds' own ratios: what slowed a round down slowed both sides."""
    return statistics.median(above / below for above, below in zip(numerators, denominators, strict=True))
