"""The tutorial of the first plugin shows the example's own code: all of it, and nothing else."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial" / "first-plugin.md"
EXAMPLE = ROOT / "examples" / "universal-markov"
MODULE = EXAMPLE / "src" / "universal_markov" / "__init__.py"


def blocks(language: str) -> list[str]:
    """Return the code blocks of the page in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.strip().splitlines()[0])
def test_each_block_stands_in_the_example(block: str) -> None:
    assert block in MODULE.read_text("utf-8")


def test_the_blocks_together_are_the_example() -> None:
    rest = MODULE.read_text("utf-8")
    for block in blocks("python"):
        before, found, rest = rest.partition(block)
        assert found, f"this block is out of order:\n{block}"
        assert not before.strip(), f"the page leaves out:\n{before}"
    assert not rest.strip(), f"the page leaves out:\n{rest}"


def test_the_page_shows_the_whole_pyproject() -> None:
    assert (EXAMPLE / "pyproject.toml").read_text("utf-8") in blocks("toml")
