"""What ``universal explain`` tells of a model."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from installed import install, on_path
from universal_core import catalogue
from universal_core.catalogue import KnownPlugin
from universal_core.config import Config, ModelConfig
from universal_core.explain import explain, lines
from universal_core.runtime import Runtime

PLUGIN = """
from universal_core import Backend, Claim, MemoryEstimate, hookimpl
API_VERSION = 1
@hookimpl
def register_backends():
    return [Backend(name="{name}", model="no:Model", tasks=("chat", "complete"))]
@hookimpl
def claim_model(info):
    if "Tiny" in info.architectures:
        memory = MemoryEstimate(weights={weights}, working=2_000_000)
        tasks = ("chat", "complete")
        return Claim(backend="{name}", tasks=tasks, reason="{reason}", rank={rank}, slots=3, memory=memory)
"""


@pytest.fixture(autouse=True)
def plugins(tmp_path: Path) -> Iterator[None]:
    folder = tmp_path / "plugins"
    folder.mkdir()
    first = {"name": "ant", "reason": "it has six legs", "rank": 60, "weights": 1_000_000}
    install(folder, "ant", PLUGIN.format(**first))
    second = {"name": "bee", "reason": "it hums", "rank": 40, "weights": 10**15}
    install(folder, "bee", PLUGIN.format(**second))
    with on_path(folder):
        yield


def model(folder: Path, architecture: str) -> str:
    at = folder / "tiny"
    at.mkdir()
    (at / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    return str(at)


def told(name: str, config: Config | None = None) -> list[str]:
    return lines(explain(Runtime(config or Config()).router, name))


def test_it_tells_where_the_model_is_who_claims_it_and_why(tmp_path: Path) -> None:
    name = model(tmp_path, "Tiny")
    text = told(name)
    assert text[0] == name
    assert text[1] == f"  found by   local folder: {name}"
    assert text[2] == "  config     Tiny"
    assert "  winner     ant (rank 60): it has six legs" in text
    assert "  claim      bee (rank 40): it hums" in text
    assert sum("tasks: chat, complete; 3 at once" in line for line in text) == 2


def test_it_compares_the_estimate_with_what_is_free(tmp_path: Path) -> None:
    name = model(tmp_path, "Tiny")
    (memory,) = [line for line in told(name) if line.startswith("  memory")]
    assert "about 3.0 MB on cpu (weights 1.0 MB, working memory 2.0 MB)" in memory
    assert memory.endswith("free: fits")
    pinned = Config(model={name: ModelConfig(backend="bee")})
    (memory,) = [line for line in told(name, pinned) if line.startswith("  memory")]
    assert memory.endswith("free: does not fit now")


def test_a_configured_backend_is_the_winner(tmp_path: Path) -> None:
    name = model(tmp_path, "Tiny")
    assert "  winner     bee (rank 40): it hums" in told(name, Config(model={name: ModelConfig(backend="bee")}))


def test_it_tells_which_plugin_to_install_where_nothing_claims_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nose = KnownPlugin("nose", ("smell",), architectures=("ForSmelling",))
    monkeypatch.setattr(catalogue, "KNOWN_PLUGINS", (nose, *catalogue.KNOWN_PLUGINS))
    text = told(model(tmp_path, "DogForSmelling"))
    assert 'pip install "universal-core[nose]"' in text[-1]
    assert not any(line.startswith(("  winner", "  memory")) for line in text)


def test_an_alias_is_explained_under_its_own_name(tmp_path: Path) -> None:
    config = Config(model={"short": ModelConfig(model=model(tmp_path, "Tiny"))})
    assert told("short", config)[0] == "short"
