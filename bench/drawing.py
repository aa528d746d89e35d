"""Draws the tables of a page of the documentation from results: what stands between two markers is replaced.

A marker names the file and the part of it: ``<!-- drawn from bench/results/cpu.json: chat -->``; the part ``machine``
says where it was measured. The drawn part ends with ``<!-- end -->``.
"""

import re
from pathlib import Path

from bench.report import page_table
from bench.results import Results, read

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "speed.md"
_DRAWN = re.compile(r"(<!-- drawn from (\S+): (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def draw() -> None:
    """Write the page anew."""
    PAGE.write_text(drawn(PAGE.read_text("utf-8")), "utf-8")


def drawn(page: str) -> str:
    """Return a page with what its markers stand for."""
    return _DRAWN.sub(lambda found: f"{found[1]}\n{_part(read(ROOT / found[2]), found[3])}\n\n{found[4]}", page)


def _part(results: Results, name: str) -> str:
    if name == "machine":
        return _machine(results)
    measured = results.measurements[name]
    quick = (
        "\n\nThis was a quick run with a small model: the figures say nothing yet." if measured.conditions.quick else ""
    )
    return page_table(measured.found) + quick


def _machine(results: Results) -> str:
    place, told = results.machine, next(iter(results.measurements.values())).conditions
    where = f"{place.processor}, {place.cores} cores, {place.memory:g} GiB of memory"
    where += f", {place.accelerator}" if place.accelerator else ""
    libraries = ", ".join(f"{name} {results.packages[name]}" for name in ("torch", "transformers"))
    run = f"{told.threads} thread{'s' if told.threads > 1 else ''}, {told.dtype}"
    return f"Measured on {where}; {place.system}, Python {place.python}, {libraries}; {run}."
