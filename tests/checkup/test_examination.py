"""A whole checkup, as `universal doctor` tells it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from installed import install, on_path
from universal_core.checkup import Situation, examine
from universal_core.checkup.imports import check_imports
from universal_core.cli.main import universal
from universal_core.models import Backend


def test_an_examination_asks_no_library_of_models() -> None:
    program = (
        "import sys\nfrom universal_core.checkup import Situation, examine\nlist(examine(Situation.of(None)))\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'transformers', 'llama_cpp'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_finding_that_is_not_well_says_what_to_do() -> None:
    findings = list(examine(Situation.of(None)))
    assert len({finding.name for finding in findings}) == len(findings)
    assert all(finding.advice for finding in findings if finding.state != "ok")
    assert not any(finding.advice for finding in findings if finding.state == "ok")


def test_a_broken_configuration_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "universal.toml").write_text("[server]\nprot = 1\n")
    result = CliRunner().invoke(universal, ["doctor"])
    assert result.exit_code == 1
    assert "unknown field server.prot; did you mean port?" in result.output
    assert "torch" in result.output
    assert result.output.strip().splitlines()[-1].startswith("1 problems, ")


def test_scripts_get_every_finding_as_json() -> None:
    result = CliRunner().invoke(universal, ["doctor", "--json"])
    told = json.loads(result.output)
    assert result.exit_code == (1 if told["problems"] else 0)
    assert {"name", "state", "found", "advice"} == told["findings"][0].keys()
    names = [finding["name"] for finding in told["findings"]]
    for name in ("Python", "configuration", "plugins", "requirements", "device", "torch", "memory", "disk", "cache"):
        assert name in names
    for name in ("port", "hub", "token", "clock"):
        assert name in names


def test_the_token_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    assert "hf_very_secret" not in CliRunner().invoke(universal, ["doctor"]).output


def test_a_quarantined_plugin_makes_it_fail(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    install(folder, "broken", "raise RuntimeError('no driver')")
    with on_path(folder):
        result = CliRunner().invoke(universal, ["doctor"])
    assert result.exit_code == 1
    assert "quarantined: RuntimeError: no driver" in result.output


def test_libraries_are_imported_where_all_is_to_be_known(tmp_path: Path) -> None:
    (tmp_path / "sound_library.py").write_text("")
    (tmp_path / "torn_library.py").write_text("raise ImportError('libcuda.so.1: cannot open')")
    (tmp_path / "deadly_library.py").write_text("import os; os.abort()")
    backends = [
        Backend(name=name, model="m:M", tasks=(), preload=(f"{name}_library",)) for name in ("sound", "torn", "deadly")
    ]
    with on_path(tmp_path):
        sound, torn, deadly = check_imports([*backends, Backend(name="light", model="m:M", tasks=())])
    assert sound.state == "ok"
    assert sound.found.startswith("imports sound_library in ")
    assert torn.found == "importing torn_library: ImportError: libcuda.so.1: cannot open"
    assert deadly.found == "importing deadly_library: the process ended with status -6"
