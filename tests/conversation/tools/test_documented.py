"""The guide to tools has every format."""

from pathlib import Path

from universal_core.conversation.tools import FORMATS

GUIDE = Path(__file__).parents[3] / "docs" / "how-to" / "call-tools.md"


def test_the_guide_has_a_row_for_every_format() -> None:
    rows = GUIDE.read_text(encoding="utf-8").splitlines()
    assert [name for name in FORMATS if not any(row.startswith(f"| `{name}` |") for row in rows)] == []
