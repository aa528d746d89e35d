"""OpenAI's SDK, unchanged, the newest version and the oldest major one that is in use, against real tiny models."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server import Server, running_server
from tiny.causal import make_llama
from tiny.encoders import make_sentence_transformer

SCRIPT = Path(__file__).with_name("sdk_session.py")
SECONDS = 120
OLD_SDK = Path(os.environ.get("OPENAI_1", Path(sys.prefix) / "openai-1"))
"""Where ``make test`` installs version 1 of the SDK, beside the newest."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("sdk")
    return str(make_llama(folder / "llama")), str(make_sentence_transformer(folder / "encoder"))


@pytest.fixture(scope="module")
def server(models: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    outputs = tmp_path_factory.mktemp("outputs")
    kept = outputs / "responses.db"
    with running_server("--device", "cpu", "--images-outputs", str(outputs), "--responses-path", str(kept)) as found:
        yield found


def session(server: Server, models: tuple[str, str], path: Path | None) -> str:
    """Run the script; return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(path)} if path else dict(os.environ)
    command = [sys.executable, "-W", "error", str(SCRIPT), f"{server.url}/v1", *models]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{done.stderr}\n{server.log}"
    return done.stdout


def test_the_newest_sdk_does_everything(server: Server, models: tuple[str, str]) -> None:
    assert "all well" in session(server, models, None)


def test_version_1_of_the_sdk_does_everything(server: Server, models: tuple[str, str]) -> None:
    assert OLD_SDK.is_dir(), f"`make test` installs version 1 of the SDK in {OLD_SDK}; or set OPENAI_1 to such a folder"
    assert session(server, models, OLD_SDK).startswith("openai 1.")
