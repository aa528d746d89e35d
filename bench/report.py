"""Results in words: one table of medians and ratios, for a terminal and for a page."""

from collections.abc import Iterable, Iterator, Mapping

from bench.comparison import Comparison, Found, Goal, median, ratio

HEADINGS = ("", "", "", "median (lowest to highest)", "ratio", "goal")
PAGE_HEADINGS = ("case", "quantity", "contender", "median (lowest to highest)", "ratio", "goal")


def table(found: Mapping[str, Found]) -> str:
    """Return everything in one table of plain text: a block of rows for each measurement, a row for each contender."""
    blocks = {name: [row for each in result.comparisons for row in rows(each)] for name, result in found.items()}
    everything = [HEADINGS, *(row for block in blocks.values() for row in block)]
    widths = [max(map(len, column)) for column in zip(*everything, strict=True)]
    lines = [_line(HEADINGS, widths)]
    for name, block in blocks.items():
        lines += ["", f"{name}: {found[name].about}", *(f"  {note}" for note in found[name].notes)]
        lines += [_line(row, widths) for row in _without_repetition(block)]
    return "\n".join(lines)


def page_table(result: Found) -> str:
    """Return the table of one measurement in Markdown."""
    body = _without_repetition([row for each in result.comparisons for row in rows(each)])
    lines = [f"{result.about[0].upper()}{result.about[1:]}."]
    lines += [f"{note[0].upper()}{note[1:]}." for note in result.notes]
    lines += ["", "| " + " | ".join(PAGE_HEADINGS) + " |", "|---|---|---|---|---|---|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in body)])


def rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """Yield a row for each contender: the ratio is what the first one has to it, or has reached of an absolute goal."""
    own = comparison.samples[comparison.first]
    wanted = {goal.to: goal for goal in comparison.goals}
    for name, samples in comparison.samples.items():
        is_first = name == comparison.first
        goal = wanted.get(None if is_first else name)
        found = "" if is_first else number(ratio(own, samples))
        shown = spread(samples, comparison.unit)
        yield comparison.case, comparison.quantity, name, shown, found, said(comparison, goal)


def said(comparison: Comparison, goal: Goal | None) -> str:
    """Return a goal in words, and whether it is reached."""
    if goal is None:
        return ""
    bound = f"at least {goal.least:g}" if goal.least is not None else f"at most {goal.most:g}"
    return f"{bound}: {'met' if goal.met(comparison.value(goal)) else 'missed'}"


def spread(samples: Iterable[float], unit: str) -> str:
    """Return the median of some samples with the lowest and the highest."""
    ordered = sorted(samples)
    return f"{number(median(ordered))} {unit} ({number(ordered[0])} to {number(ordered[-1])})".replace("  ", " ")


def number(value: float) -> str:
    """Return a number with three digits that say something; those near 1 with as many as it takes."""
    if 0.999 < value < 1:
        return f"{value:.6f}"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 4
    return f"{value:.{digits}f}"


def _without_repetition(block: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Leave out the case and the quantity of a row where they are those of the row above."""
    shown = []
    for place, row in enumerate(block):
        above = block[place - 1] if place else ("", "")
        case = "" if row[0] == above[0] else row[0]
        quantity = "" if not case and row[1] == above[1] else row[1]
        shown.append((case, quantity, *row[2:]))
    return shown


def _line(cells: Iterable[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
