"""The README documents every option of all backends."""

import re
from pathlib import Path

import msgspec
import pytest

import universal_text
from universal_core import Backend
from universal_text import causal

README = (Path(__file__).parents[1] / "README.md").read_text()
SECTIONS = {
    "text": "## Options",
    "text-embeddings": "## Text embeddings",
    "text-classification": "## Ranking and labels",
    "token-classification": "## Ranking and labels",
    "text-ranking": "## Ranking and labels",
}


@pytest.mark.parametrize("backend", list(universal_text.register_backends()), ids=lambda backend: backend.name)
def test_every_option_has_its_row_and_its_default(backend: Backend) -> None:
    section = README.partition(SECTIONS[backend.name])[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", section, re.MULTILINE))
    shown = {field.name: _shown(field.default) for field in msgspec.structs.fields(backend.options)}
    assert rows == shown


def test_what_other_plugins_build_on_is_documented() -> None:
    section = README.partition("### For plugins that build on this one")[2].partition("\n## ")[0]
    first_column = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(first_column))) - {"universal_text"} == set(causal.__all__)


def _shown(default: object) -> str:
    if default is None:
        return "none"
    return str(default) if isinstance(default, int) and not isinstance(default, bool) else f"`{str(default).lower()}`"
