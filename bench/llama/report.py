"""How measured values are put into few words: medians, percentiles, and ratios beside what they should be."""

import statistics
from collections.abc import Iterable, Sequence

Rounds = dict[str, list[float]]


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Return the median of the rounds' own ratios: what slowed a round down slowed both sides."""
    return statistics.median(above / below for above, below in zip(numerators, denominators, strict=True))


def spread(values: Sequence[float], unit: str, scale: float = 1.0) -> str:
    """Return the median of some rounds with the lowest and the highest."""
    shown = sorted(value * scale for value in values)
    return f"{statistics.median(shown):9.1f} {unit} ({shown[0]:.1f} to {shown[-1]:.1f})"


def goal(found: float, *, least: float | None = None, most: float | None = None) -> str:
    """Return a ratio, with what it should be where that is said."""
    if least is not None:
        return f"{found:.2f} (at least {least:.2f}{'' if found >= least else ': missed'})"
    if most is not None:
        return f"{found:.2f} (at most {most:.2f}{'' if found <= most else ': missed'})"
    return f"{found:.2f}"


def heading(text: str) -> None:
    """Print what the following lines are about."""
    print(f"\n== {text}", flush=True)
