"""The README documents every option of both backends."""

import re
from pathlib import Path

import msgspec
import pytest

import universal_gguf
from universal_core import Backend
from universal_gguf.quantization import PREFERENCE

README = (Path(__file__).parents[1] / "README.md").read_text()
SECTIONS = {"gguf": "### Options of `gguf`", "gguf-embeddings": "### Options of `gguf-embeddings`"}


@pytest.mark.parametrize("backend", list(universal_gguf.register_backends()), ids=lambda backend: backend.name)
def test_every_option_has_its_row_and_its_default(backend: Backend) -> None:
    section = re.split(r"\n##+ ", README.partition(SECTIONS[backend.name])[2], maxsplit=1)[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", section, re.MULTILINE))
    shown = {field.name: _shown(field.default) for field in msgspec.structs.fields(backend.options)}
    assert rows == shown


def test_the_order_of_preference_is_that_of_the_code() -> None:
    assert ", ".join(PREFERENCE) in " ".join(README.split())


def _shown(default: object) -> str:
    if default is None or default == ():
        return "none"
    return str(default) if isinstance(default, int) and not isinstance(default, bool) else f"`{str(default).lower()}`"
