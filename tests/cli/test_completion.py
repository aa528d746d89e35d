"""What shells complete: commands, options, and the names of models."""

import subprocess
from pathlib import Path
from shutil import which

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from server import Server
from universal_core.cli import completion
from universal_core.cli.main import universal


def completed(*arguments: str) -> list[str]:
    """Return what is offered for the last of these words."""
    *before, incomplete = arguments
    shell = ShellComplete(universal, {}, "universal", "_UNIVERSAL_COMPLETE")
    return [item.value for item in shell.get_completions(before, incomplete)]


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for folder in ("models--org--one", "models--org--two", "models--gpt2", "datasets--org--rows"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("UNIVERSAL_RUNTIME_PORT", "1")


def test_commands_are_completed() -> None:
    assert completed("un") == ["unload"]
    assert {"pull", "ps", "plugins"} <= set(completed("p"))


def test_options_are_completed() -> None:
    assert "--url" in completed("list", "--u")


@pytest.mark.usefixtures("cached")
def test_models_of_the_cache_are_completed_where_no_server_answers() -> None:
    for command in ("pull", "rm", "load", "unload", "explain"):
        assert completed(command, "org/") == ["org/one", "org/two"]
    assert completed("rm", "org/one", "g") == ["gpt2"]


@pytest.mark.usefixtures("cached")
def test_models_of_the_server_are_completed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "PATIENCE", 30.0)
    assert completed("load", "--url", server.url, "slow") == ["slowly"]


@pytest.mark.usefixtures("cached")
def test_a_broken_configuration_leaves_the_models_of_the_cache(tmp_path: Path) -> None:
    Path("universal.toml").write_text("[server]\nprot = 1\n")
    assert completed("pull", "org/o") == ["org/one"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    result = CliRunner().invoke(universal, ["completion", shell])
    assert result.exit_code == 0
    assert f"_UNIVERSAL_COMPLETE={shell}_complete" in result.output


@pytest.mark.skipif(which("bash") is None, reason="this machine has no bash")
def test_the_script_is_one_that_bash_reads() -> None:
    script = CliRunner().invoke(universal, ["completion", "bash"]).output
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
