"""A server for the commands that ask one, with models that echo, speak and write down what is said."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from server import Server
from speaking import speaking_server

MODELS = """
[model.slowly]
model = "echo/slowly"
options.delay = 0.05

[model.reads]
model = "echo/sees"
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a server that all tests of commands ask."""
    folder = tmp_path_factory.mktemp("commands")
    with speaking_server(folder, config=write_models(folder)) as server:
        yield server


def write_models(folder: Path) -> Path:
    """Write a configuration with the models of these tests."""
    file = folder / "universal.toml"
    file.write_text(MODELS)
    return file


@pytest.fixture(autouse=True)
def asks_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own server out of the tests."""
    for variable in ("UNIVERSAL_URL", "UNIVERSAL_API_KEY", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
