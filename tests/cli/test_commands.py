"""The command line: what each command prints, and that every error is one clear line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from installed import install, on_path
from universal_core.cli.main import main, universal
from universal_core.cli.serve import greeting
from universal_core.config import settings
from universal_core.testing.echo import ECHO

Install = Callable[[str, str], None]


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Install]:
    folder = tmp_path / "plugins"
    folder.mkdir()
    with on_path(folder):
        yield lambda name, source: install(folder, name, source)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(universal, arguments)


def printed(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 1) -> str:
    """Return the one line that the command line says of what is wrong."""
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == status
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_the_version_is_that_of_the_distribution() -> None:
    assert printed("--version") == f"universal, version {version('universal-core')}\n"


def test_the_package_can_be_run_as_the_command() -> None:
    command = [sys.executable, "-m", "universal_core", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"universal, version {version('universal-core')}\n"


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_command_with_what_it_does(flag: str) -> None:
    text = printed(flag)
    for command in ("serve", "explain", "plugins", "config"):
        assert f"\n  {command}  " in text


def test_serve_explains_every_setting_with_its_variable_and_default() -> None:
    text = " ".join(printed("serve", "--help").split())
    for setting in settings():
        assert f"{setting.flag} VALUE" in text
        assert setting.variable in text
    assert "Port to listen on; 0 takes a free one. [UNIVERSAL_RUNTIME_PORT; default 11540]" in text
    assert "--config FILE" in text


def test_plugins_are_listed_with_what_each_adds(plugin: Install) -> None:
    plugin("broken", "raise RuntimeError('no driver')")
    lines = printed("plugins").splitlines()
    assert lines[0].split() == ["NAME", "VERSION", "ORIGIN", "STATE", "TASKS", "HOOKS"]
    (echo,) = [line for line in lines if line.startswith("echo ")]
    assert "universal-echo" in echo
    assert "active" in echo
    assert ", ".join(sorted(ECHO.tasks)) in echo
    assert "claim_model" in echo
    assert "broken is quarantined: RuntimeError: no driver" in lines


def test_a_blocked_plugin_is_listed_as_such(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[plugins]\nblock = ['echo']\n")
    (echo,) = [line for line in printed("plugins", "--config", str(file)).splitlines() if line.startswith("echo ")]
    assert "blocked" in echo


def test_config_prints_every_value_and_where_it_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[server]\nport = 5\n[model.mine]\nmodel = "org/m"\npinned = true\n')
    monkeypatch.setenv("MODEL_UNLOAD_TIMEOUT", "60")
    lines = printed("config", "--config", str(file)).splitlines()
    assert lines[0] == f"# configuration file: {file}"
    assert f"server.port = 5  # {file}" in lines
    assert "pool.unload_timeout = 60.0  # environment MODEL_UNLOAD_TIMEOUT" in lines
    assert 'server.host = "127.0.0.1"  # default' in lines
    model = [line for line in lines if line.startswith("model.")]
    assert model == [f'model.mine.model = "org/m"  # {file}', f"model.mine.pinned = true  # {file}"]
    assert len([line for line in lines if " = " in line]) == len(list(settings())) + 2


def test_config_prints_the_schema_with_the_options_of_every_backend() -> None:
    found = json.loads(printed("config", "--schema"))
    assert found["properties"].keys() >= {"server", "model"}
    assert "EchoOptions" in found["$defs"]


def test_explain_tells_who_runs_a_model() -> None:
    text = printed("explain", "echo/a")
    assert text.startswith("echo/a\n")
    assert "winner     echo (rank 50): it is an echo model" in text


def test_explain_fails_where_nobody_runs_the_model(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model_index.json").write_bytes(b"{}")
    result = run("explain", str(tmp_path / "m"))
    assert result.exit_code == 1
    assert "universal-diffusion is installed, but does not run models of this kind" in result.output


def test_explain_of_a_model_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "explain", "org/none").startswith("universal: model 'org/none' was not found")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("config", "--config", "nowhere.toml"), "configuration file nowhere.toml does not exist"),
        (("serve", "--port", "eighty"), "expected a number, got 'eighty'"),
        (("serve", "--port", "70000"), "command line --port: server.port: Expected int <= 65535"),
        (("serve", "--workers-fork", "perhaps"), "expected true or false"),
        (("serve", "--host", "256.256.256.256", "--port", "0"), "cannot listen on 256.256.256.256:0"),
    ],
)
def test_a_wrong_setting_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert words in refused(capsys, *arguments)


def test_a_wrong_variable_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIVERSAL_RUNTIME_PROT", "1")
    assert "unknown environment variable UNIVERSAL_RUNTIME_PROT; did you mean" in refused(capsys, "config")


def test_a_command_that_does_not_exist_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["sevre"])
    assert raised.value.code == 2
    assert "No such command 'sevre'" in capsys.readouterr().err


def test_the_welcome_has_lines_to_paste() -> None:
    text = greeting("http://127.0.0.1:11540", "org/m")
    assert 'OpenAI(base_url="http://127.0.0.1:11540/v1", api_key="none")' in text
    assert 'model="org/m"' in text
    assert "curl http://127.0.0.1:11540/v1/chat/completions" in text


def test_plugins_are_told_where_the_configuration_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Set first, so that what the command sets is taken back after the test.
    monkeypatch.setenv("UNIVERSAL_CONFIG_FOLDER", "elsewhere")
    printed("config")
    assert os.environ["UNIVERSAL_CONFIG_FOLDER"] == str(tmp_path / ".universal")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "server.toml").write_text("")
    printed("config", "--config", "etc/server.toml")
    assert os.environ["UNIVERSAL_CONFIG_FOLDER"] == str(tmp_path / "etc")
