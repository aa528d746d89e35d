"""What the tests of the core stand on: the echo backend installed as a plugin, and nothing of the developer's own."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from installed import on_path, write_distribution


@pytest.fixture(scope="session", autouse=True)
def echo_plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make ``echo/…`` models run, here and in every process that a test starts."""
    folder = tmp_path_factory.mktemp("echo")
    write_distribution(folder, "echo", "universal_core.testing.echo")
    with on_path(folder):
        yield


@pytest.fixture(scope="session", autouse=True)
def empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give all tests a HuggingFace cache of their own, empty at first."""
    folder = tmp_path_factory.mktemp("hub")
    before = os.environ.get("HF_HUB_CACHE")
    os.environ["HF_HUB_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["HF_HUB_CACHE"]
    else:
        os.environ["HF_HUB_CACHE"] = before


@pytest.fixture(scope="session", autouse=True)
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give what several tests share a home of its own; each test has another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True)
def no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings, in files or variables, out of the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("UNIVERSAL_CONFIG_FOLDER", raising=False)
    for variable in list(os.environ):
        if variable.startswith("UNIVERSAL_RUNTIME_") or variable in ("MODEL_UNLOAD_TIMEOUT", "CLEANUP_CHECK_INTERVAL"):
            monkeypatch.delenv(variable)


@pytest.fixture(autouse=True)
def same_log() -> Iterator[None]:
    """Give every test the log as it was: what configures it writes to a stream that is closed after the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
