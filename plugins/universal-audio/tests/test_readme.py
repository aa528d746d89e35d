"""The README documents every option of every backend, and every short name."""

import re
from pathlib import Path

import msgspec
import pytest

import universal_audio
from universal_audio.listen.names import SHORT_NAMES
from universal_core import Backend

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


@pytest.mark.parametrize("backend", list(universal_audio.register_backends()), ids=lambda backend: backend.name)
def test_every_option_has_its_row_and_its_default(backend: Backend) -> None:
    section = README.partition(f"### Options of `{backend.name}`\n")[2].partition("\n#")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", section, re.MULTILINE))
    assert rows == {field.name: _shown(field.default) for field in msgspec.structs.fields(backend.options)}


def test_every_short_name_is_there() -> None:
    names = {name.removesuffix(".en") if name.count("-") == 0 else name for name in SHORT_NAMES}
    assert [name for name in sorted(names) if f"`{name}`" not in README] == []


def _shown(default: object) -> str:
    if default is None:
        return "none"
    return str(default) if isinstance(default, int | float) and not isinstance(default, bool) else f"`{_word(default)}`"


def _word(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)
