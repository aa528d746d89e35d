"""Tables of libraries are read without importing them."""

import sys
from pathlib import Path

import pytest

from universal_core import names_in_mapping

SOURCE = """
from collections import OrderedDict
from elsewhere import First, Second
import nothing_that_exists

PAIRS = OrderedDict([("one", First), ("two", "Second"), ("both", (First, "Second"))])
PLAIN = {"three": First, 4: Second}
MADE = dict(zip("ab", "cd"))
if nothing_that_exists:
    GROWN = {"first": First}
    GROWN["second"] = Second
    GROWN[3] = First
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "unheard_of" / "inner"
    folder.mkdir(parents=True)
    (tmp_path / "unheard_of" / "__init__.py").write_text("raise ImportError")
    (folder / "tables.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "unheard_of.inner.tables"


def test_classes_and_their_names_are_both_names(library: str) -> None:
    assert names_in_mapping(library, "PAIRS") == {
        "one": ("First",),
        "two": ("Second",),
        "both": ("First", "Second"),
    }
    assert names_in_mapping(library, "PLAIN") == {"three": ("First",)}
    assert "unheard_of" not in sys.modules


def test_what_is_added_later_is_in_it_too(library: str) -> None:
    assert names_in_mapping(library, "GROWN") == {"first": ("First",), "second": ("Second",)}


@pytest.mark.parametrize("table", ["MADE", "MISSING"])
def test_what_is_no_such_table_is_empty(library: str, table: str) -> None:
    assert names_in_mapping(library, table) == {}


@pytest.mark.parametrize("module", ["no.such.module", "json.no_such_module"])
def test_what_is_not_installed_is_empty(module: str) -> None:
    assert names_in_mapping(module, "PAIRS") == {}


def test_the_tables_of_transformers_are_found() -> None:
    found = names_in_mapping("transformers.models.auto.modeling_auto", "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES")
    assert found["vit"] == ("ViTForImageClassification",)
