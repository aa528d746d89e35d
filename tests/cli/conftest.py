"""A server for the commands that ask one, with models that echo, speak and write down what is said."""

from collections.abc import Iterator

import pytest

from hearing import HEARER
from installed import install
from server import Server
from speaking import speaking_server

MODELS = """
[model.slowly]
model = "echo/slowly"
options.delay = 0.05

[model.leaving]
model = "echo/leaving"
options.delay = 0.05

[model.stopping]
model = "echo/stopping"
options.delay = 0.05

[model.reads]
model = "echo/sees"

[model.ears]
model = "hearer/ears"

[model.mouth]
model = "speaker/mouth"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give the server that tests of commands ask."""
    folder = tmp_path_factory.mktemp("commands")
    install(folder, "hearer", HEARER)
    file = folder / "models.toml"
    file.write_text(MODELS)
    with speaking_server(folder, "--config", str(file)) as server:
        yield server


@pytest.fixture
def asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Give that server as the one that commands ask by themselves."""
    monkeypatch.setenv("UNIVERSAL_URL", server.url)
    return server


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own server, and how the developer likes terminals, out of the tests."""
    for variable in ("UNIVERSAL_URL", "UNIVERSAL_API_KEY", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
