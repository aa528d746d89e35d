"""The README documents every option and every scheduler."""

import re
from pathlib import Path

import msgspec

import universal_diffusion
from universal_diffusion.schedulers import KNOWN

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def test_every_option_has_its_row_and_its_default() -> None:
    (backend,) = universal_diffusion.register_backends()
    section = README.partition(f"## Options of `{backend.name}`\n")[2].partition("\n#")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", section, re.MULTILINE))
    assert rows == {field.name: _shown(field) for field in msgspec.structs.fields(backend.options)}


def test_every_scheduler_is_there() -> None:
    assert [name for name in KNOWN if f"`{name}`" not in README] == []


def _shown(field: msgspec.structs.FieldInfo) -> str:
    default = field.default
    if default is None or default is msgspec.NODEFAULT:
        return "none"
    if isinstance(default, int) and not isinstance(default, bool):
        return str(default)
    return f"`{str(default).lower()}`"
