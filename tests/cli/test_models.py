"""The commands that pull, list, load and remove models, with a server and without."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub_server import Hub, places, point_to, running_hub
from installed import install, on_path
from server import Server, running_server
from terminal import COMMAND, CTRL_C, piped, terminal
from universal_core.cli.list import _row
from universal_core.cli.pull import told

NO_SERVER = "no server answers on http://127.0.0.1:1:"
CLAIMER = """
from universal_core import Backend, Claim, hookimpl

API_VERSION = 1
BACKEND = Backend(name="claimer", model="universal_claimer:Model", tasks=("chat",))


@hookimpl
def register_backends():
    return [BACKEND]


@hookimpl
def claim_model(info):
    if "claimer" in info.id:
        return Claim(backend="claimer", tasks=("chat",), reason="it is", rank=99, files=("*.json", "*.safetensors"))
"""
FILES = {"config.json": b"{}", "model.safetensors": os.urandom(300_000), "model.bin": os.urandom(1000)}
REPO = "org/claimer"


@pytest.fixture(scope="module", autouse=True)
def claimer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have a plugin that offers to run the models of the hub."""
    folder = tmp_path_factory.mktemp("claimer")
    install(folder, "claimer", CLAIMER)
    with on_path(folder):
        yield


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        hub.add(REPO, FILES)
        yield hub


@pytest.fixture
def alone(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Let commands find no server, but a hub; gives the environment of those in processes of their own."""
    monkeypatch.setenv("UNIVERSAL_RUNTIME_PORT", "1")
    point_to(monkeypatch, hub.url, tmp_path / "hub" / "hub")
    return places(hub, tmp_path / "hub")


def snapshot(tmp_path: Path) -> list[str]:
    (folder,) = (tmp_path / "hub" / "hub").glob("models--org--claimer/snapshots/*")
    return sorted(path.name for path in folder.iterdir())


def test_a_model_is_pulled_listed_and_removed_without_a_server(alone: dict[str, str], tmp_path: Path) -> None:
    pulled = piped("pull", REPO)
    assert (pulled.exit_code, pulled.stdout) == (0, "org/claimer is on this machine: 300.0 KB\n"), pulled.stderr
    assert snapshot(tmp_path) == ["config.json", "model.safetensors"]
    listed = piped("list")
    heading, *rows = [line.split("\t") for line in listed.stdout.splitlines()]
    assert heading == ["NAME", "STATE", "TASKS", "BACKEND", "SIZE", "LAST USED", "QUANTIZATIONS"]
    (row,) = [row for row in rows if row[0] == REPO]
    assert row[1:5] == ["cached", "chat", "claimer", "300.0 KB"]
    assert row[5].endswith(" ago")
    removed = piped("rm", "--yes", REPO)
    assert (removed.exit_code, removed.stdout) == (0, "org/claimer is deleted; 300.0 KB are free again\n")
    assert not list((tmp_path / "hub" / "hub").glob("models--*"))


def test_removing_asks_first_and_leaves_everything_where_nobody_agrees(alone: dict[str, str], tmp_path: Path) -> None:
    piped("pull", REPO)
    asked = piped("rm", REPO, given="n\n")
    assert asked.exit_code == 1
    assert "Delete the files of org/claimer?" in asked.stderr
    assert snapshot(tmp_path)
    agreed = piped("rm", REPO, given="y\n")
    assert agreed.exit_code == 0


def test_of_several_models_those_that_are_there_are_removed(alone: dict[str, str]) -> None:
    piped("pull", REPO)
    removed = piped("rm", "--yes", "org/none", REPO, "--json")
    assert removed.exit_code == 1
    assert "org/none" in removed.stderr
    answer = json.loads(removed.stdout)
    assert (answer["id"], answer["deleted"]) == (REPO, True)
    assert answer["freed_bytes"] > 300_000


def test_a_model_that_does_not_exist_is_one_line(alone: dict[str, str]) -> None:
    pulled = piped("pull", "org/none")
    assert pulled.exit_code == 1
    (line,) = pulled.stderr.splitlines()
    assert line.startswith("universal: model 'org/none' was not found")


def test_scripts_get_every_event_of_a_pull(alone: dict[str, str]) -> None:
    pulled = piped("pull", REPO, "--json")
    events = [json.loads(line) for line in pulled.stdout.splitlines()]
    assert events[-1]["status"] == "success"
    assert events[-1]["files"] == ["config.json", "model.safetensors"]


def test_a_pull_that_is_stopped_says_that_the_next_one_goes_on(hub: Hub, alone: dict[str, str]) -> None:
    gate = hub.hold("model.safetensors", 100_000)
    with terminal("pull", REPO, env=alone) as shown:
        assert gate.reached.wait(30)
        shown.expect("downloading org/claimer")
        shown.type(CTRL_C)
        shown.expect("stopped; `universal pull org/claimer` goes on where this left off")
        assert shown.end() == 130
    gate.open.set()
    assert piped("pull", REPO).exit_code == 0


def test_a_bar_shows_how_far_a_pull_is(hub: Hub, alone: dict[str, str]) -> None:
    gate = hub.hold("model.safetensors", 100_000)
    with terminal("pull", REPO, env=alone) as shown:
        shown.expect(r"of 300\.0 KB")
        gate.open.set()
        shown.expect("org/claimer is on this machine: 300.0 KB")
        assert shown.end() == 0


def test_a_command_for_a_server_that_was_named_needs_it() -> None:
    for command in (["list"], ["pull", "a/b"], ["rm", "--yes", "a/b"], ["ps"], ["load", "a/b"], ["unload", "a/b"]):
        done = piped(*command, "--url", "127.0.0.1:1")
        assert done.exit_code == 3, done
        assert NO_SERVER in done.stderr


def test_models_are_loaded_seen_and_unloaded_on_a_server(asked: Server) -> None:
    assert piped("load", "echo/seen").stdout == "echo/seen is ready\n"
    shown = piped("ps")
    heading, *rows = [line.split("\t") for line in shown.stdout.splitlines()]
    assert heading[:4] == ["NAME", "STATE", "BACKEND", "MEMORY"]
    (row,) = [row for row in rows if row[0] == "echo/seen"]
    assert row[1:3] == ["ready", "echo"]
    assert row[4:6] == ["0", "0"]
    assert "free" in shown.stderr
    assert piped("unload", "echo/seen").stdout == "echo/seen is unloaded\n"
    again = piped("unload", "echo/seen")
    assert again.exit_code == 1
    assert again.stderr.startswith("universal: 'echo/seen' is not loaded")


def test_scripts_get_what_the_server_answers(asked: Server) -> None:
    assert json.loads(piped("load", "echo/json", "--json").stdout) == {"id": "echo/json", "state": "ready"}
    assert "echo/json" in json.loads(piped("ps", "--json").stdout)["loaded_models"]
    assert "echo/json" in [model["id"] for model in json.loads(piped("list", "--json").stdout)["data"]]
    assert json.loads(piped("unload", "echo/json", "--json").stdout)["state"] == "unloaded"


def test_a_server_is_asked_to_pull(hub: Hub, tmp_path: Path) -> None:
    with running_server(env=places(hub, tmp_path / "hub")) as server:
        pulled = piped("pull", REPO, "--url", server.url)
    assert pulled.exit_code == 0, pulled.stderr
    assert snapshot(tmp_path) == ["config.json", "model.safetensors"]


def test_a_server_that_stops_ends_what_it_downloads(hub: Hub, tmp_path: Path) -> None:
    gate = hub.hold("model.safetensors", 100_000)
    with running_server(env=places(hub, tmp_path / "hub")) as server:
        pulling = subprocess.Popen([*COMMAND, "pull", REPO, "--url", server.url], stderr=subprocess.PIPE, text=True)
        assert gate.reached.wait(30)
        children = server.children()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        _, errors = pulling.communicate(timeout=30)
        assert pulling.returncode in (1, 3)
        assert errors.startswith("universal: ")
        assert not any(child.is_running() for child in children)
    assert not list((tmp_path / "hub" / "hub").glob("models--org--claimer/snapshots/*/model.safetensors"))


def test_a_download_is_told_with_its_numbers() -> None:
    event = {"model": "org/m", "status": "downloading", "files": 3, "files_done": 1, "bytes": 2_000_000}
    assert told({"model": "org/m", "status": "success"}) == "success org/m"
    assert (
        told({**event, "bytes_done": 500_000, "bytes_per_second": 100_000.0, "seconds_left": 15.0})
        == "downloading org/m: 1 of 3 files, 500.0 KB of 2.0 MB, 100.0 KB/s, 15 s left"
    )


def test_a_model_of_which_little_is_known_has_its_row() -> None:
    assert _row({"id": "alias", "state": "configured"}, 0.0) == ("alias", "configured", "-", "-", "-", "-", "-")
