"""The README documents every option of all backends."""

import re
from pathlib import Path

import msgspec
import pytest

import universal_vision
from universal_core import Backend

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.parametrize("backend", list(universal_vision.register_backends()), ids=lambda backend: backend.name)
def test_every_option_has_its_row_and_its_default(backend: Backend) -> None:
    section = re.split(r"\n##+ ", README.partition(f"### Options of `{backend.name}`")[2])[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", section, re.MULTILINE))
    shown = {field.name: _shown(field.default) for field in msgspec.structs.fields(backend.options)}
    assert rows == shown


@pytest.mark.parametrize("backend", list(universal_vision.register_backends()), ids=lambda backend: backend.name)
def test_every_backend_and_task_is_told_of(backend: Backend) -> None:
    assert f"The backend `{backend.name}`" in README
    assert [task for task in backend.tasks if f"`{task}`" not in README] == []


def _shown(default: object) -> str:
    if default is None:
        return "none"
    return str(default) if isinstance(default, int) and not isinstance(default, bool) else f"`{str(default).lower()}`"
