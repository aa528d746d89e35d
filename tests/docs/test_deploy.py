"""The files that run it for good name only what there is: settings, flags, ports, endpoints, files and stages."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.routing import Route

from universal_core.app import routes
from universal_core.cli.main import universal
from universal_core.config import Config, settings
from universal_core.runtime import Runtime

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
INSTRUCTIONS = {
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "SHELL"),
    *("STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
}
PORT = Config().server.port


def text_of(name: str) -> str:
    return (DEPLOY / name).read_text("utf-8")


def yaml_of(name: str) -> Any:
    return yaml.safe_load(text_of(name))


def unit() -> dict[str, list[str]]:
    """Return what systemd reads in the unit, by name."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", text_of("universal.service"), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def dockerfile() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with what follows each."""
    lines = [line for line in text_of("Dockerfile").splitlines() if line.strip() and not line.startswith("#")]
    whole = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in whole.splitlines()]


def of(instruction: str) -> list[str]:
    return [rest for name, rest in dockerfile() if name == instruction]


def paths() -> set[str]:
    return {route.path for route in routes(Runtime(Config())) if isinstance(route, Route)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(DEPLOY).as_posix())
def test_every_variable_of_ours_exists(path: Path) -> None:
    known = {setting.variable for setting in settings()}
    known |= {f"UNIVERSAL_RUNTIME_{setting.section}_{setting.field}".upper() for setting in settings()}
    assert set(re.findall(r"UNIVERSAL_RUNTIME_\w+", path.read_text("utf-8"))) <= known


def test_the_unit_starts_the_server_with_options_that_it_has() -> None:
    (command,) = unit()["ExecStart"]
    program, name, *rest = command.split()
    assert Path(program).name == "universal"
    found = universal.get_command(universal.make_context("universal", [], resilient_parsing=True), name)
    assert found is not None
    flags = {flag for parameter in found.params for flag in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= flags


def test_the_unit_gives_the_server_time_to_drain() -> None:
    config = Config()
    (seconds,) = unit()["TimeoutStopSec"]
    # Hypercorn waits three more seconds for connections.
    assert int(seconds) > config.server.drain_timeout + config.workers.stop_grace + 3
    period = yaml_of("compose.yaml")["services"]["universal"]["stop_grace_period"]
    assert int(period.removesuffix("s")) > config.server.drain_timeout + config.workers.stop_grace + 3


def test_the_unit_reloads_by_the_signal_that_the_server_listens_to() -> None:
    (command,) = unit()["ExecReload"]
    assert "-HUP" in command
    assert "SIGHUP" in (ROOT / "src/universal_core/serve.py").read_text("utf-8")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd")
def test_systemd_finds_no_fault_with_the_unit(tmp_path: Path) -> None:
    # It checks that programs are there, and the server is not installed where the unit expects it.
    words = text_of("universal.service").replace("/opt/universal/bin/universal", sys.executable)
    file = tmp_path / "universal.service"
    file.write_text(words)
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_dockerfile_has_only_instructions_that_there_are() -> None:
    assert {name for name, _ in dockerfile()} <= INSTRUCTIONS


def stages() -> Iterator[tuple[str, str]]:
    for rest in of("FROM"):
        base, _, name = rest.partition(" AS ")
        yield name, base


def test_every_stage_stands_on_one_that_comes_before_it() -> None:
    arguments = {rest.partition("=")[0]: rest.partition("=")[2] for rest in of("ARG")}
    known: set[str] = set()
    for name, base in stages():
        for variant in ("cpu", "cuda"):
            full = re.sub(r"\$\{(\w+)\}", lambda found: {**arguments, "VARIANT": variant}[found[1]], base)  # noqa: B023
            assert full in known or ":" in full, f"{full} is neither a stage nor an image"
        known.add(name)
    assert {source for rest in of("COPY") for source in re.findall(r"--from=(\S+)", rest)} <= known


def test_what_the_image_is_built_from_is_there_and_not_ignored() -> None:
    ignored = text_of("Dockerfile.dockerignore").splitlines()
    for rest in of("COPY"):
        if not rest.startswith("--from="):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in ignored, source


def test_the_extras_of_the_image_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (extras,) = [rest.partition("=")[2] for rest in of("ARG") if rest.startswith("EXTRAS=")]
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    assert {folder.name.removeprefix("universal-") for folder in (ROOT / "plugins").glob("universal-*")} == set(
        extras.split(",")
    )


def test_the_image_runs_the_server_as_nobody_special_and_looks_at_its_health() -> None:
    assert of("USER")[-1] == "universal"
    assert of("EXPOSE") == [str(PORT)]
    assert of("ENTRYPOINT") == ['["universal"]']
    assert of("CMD") == ['["serve"]']
    (health,) = of("HEALTHCHECK")
    assert "/health" in health
    assert "/health" in paths()


def test_the_health_check_tells_a_server_that_answers_from_none(monkeypatch: pytest.MonkeyPatch) -> None:
    (health,) = of("HEALTHCHECK")
    (program,) = re.findall(r'"-c", "(.*)"\]', health)
    monkeypatch.setenv("UNIVERSAL_RUNTIME_PORT", "1")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Connection refused" in done.stderr


def test_the_services_reach_each_other() -> None:
    services = yaml_of("compose.yaml")["services"]
    assert services["universal"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    (job,) = yaml_of("prometheus.yml")["scrape_configs"]
    assert job["static_configs"][0]["targets"] == [f"universal:{PORT}"]
    assert job["metrics_path"] in paths()
    (source,) = yaml_of("grafana/datasource.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert services.keys() >= {"universal", "prometheus", "grafana"}
    assert yaml_of("compose.cuda.yaml")["services"].keys() <= services.keys()


def test_what_the_services_are_given_is_there() -> None:
    found = yaml_of("compose.yaml")
    for service in found["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (DEPLOY / source).is_file() if source.startswith(".") else source in found["volumes"], volume
    build = found["services"]["universal"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    folders = [volume.partition(":")[2] for volume in found["services"]["universal"]["volumes"]]
    (volumes,) = of("VOLUME")
    assert sorted(folders) == sorted(yaml.safe_load(volumes))


def test_the_page_about_it_names_every_file() -> None:
    page = (ROOT / "docs/how-to/run-as-a-service.md").read_text("utf-8")
    for path in DEPLOY.glob("*"):
        if path.is_file() and path.suffix != ".dockerignore":
            assert f"deploy/{path.name}" in page
