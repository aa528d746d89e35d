"""The JSON schema of the configuration file: the code's own, and that of the documentation."""

import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from universal_core.config import ModelConfig, schema, schema_text
from universal_core.models import Backend
from universal_core.testing.echo import ECHO, EchoOptions

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "reference" / "universal.schema.json"
_TOML = re.compile(r"^```toml\n(.*?)^```", re.DOTALL | re.MULTILINE)
OTHER = Backend(name="other", model="m:M", tasks=("chat",))


def checker(*backends: Backend) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema(backends))


def examples() -> list[Any]:
    pages = sorted(ROOT.glob("docs/**/*.md")) + sorted(ROOT.glob("plugins/*/README.md"))
    blocks = [(page, block) for page in pages for block in _TOML.findall(page.read_text("utf-8"))]
    return [
        pytest.param(found, id=f"{page.relative_to(ROOT)}-{number}")
        for number, (page, block) in enumerate(blocks)
        if "project" not in (found := tomllib.loads(block))
    ]


def test_the_documentation_has_the_schema_of_the_core() -> None:
    written = FILE.read_text("utf-8")
    command = 'python -c "from universal_core.config import schema_text; print(schema_text())"'
    assert written == schema_text() + "\n", f"{command} > {FILE.relative_to(ROOT)}"


@pytest.mark.parametrize("example", examples())
def test_configurations_that_are_shown_follow_it(example: dict[str, Any]) -> None:
    checker().validate(example)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sever": {}},
        {"server": {"prot": 1}},
        {"server": {"port": "x"}},
        {"model": {"a": {"slots": 0}}},
        {"model": {"a": {"optoins": {}}}},
    ],
)
def test_what_the_server_would_refuse_does_not_follow_it(wrong: dict[str, Any]) -> None:
    assert not checker().is_valid(wrong)


@pytest.mark.parametrize(
    ("model", "valid"),
    [
        ({"options": {"delay": 1.0}}, True),
        ({"options": {"dealy": 1.0}}, False),
        ({"options": {"delay": 1.0}, "backend": "echo"}, True),
        ({"options": {"delay": 1.0}, "backend": "other"}, False),
        ({"options": {}, "backend": "other"}, True),
    ],
)
def test_options_are_those_of_a_backend_or_of_the_one_that_is_named(model: dict[str, Any], *, valid: bool) -> None:
    assert checker(ECHO, OTHER).is_valid({"model": {"a": model}}) is valid


def test_every_field_and_option_has_its_description() -> None:
    parts = schema([ECHO])["$defs"]
    for name, kind in (("ModelConfig", ModelConfig), ("EchoOptions", EchoOptions)):
        assert parts[name]["properties"].keys() == set(kind.__struct_fields__)
        for field in parts[name]["properties"].values():
            assert field["description"].endswith(".")
