"""How a real server stops: what runs may finish, what comes is refused, and nothing remains."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from server import STOP_SECONDS, Server, running_server

PATIENCE = 30.0
FOREVER = ("--drain-timeout", "3600")
"""Nobody waits for this in a test: what ends before was ended by something else."""


@pytest.fixture
def settings(tmp_path: Path) -> str:
    file = tmp_path / "slow.toml"
    file.write_text('[model."echo/slow"]\noptions = {delay = 0.02}\n')
    return str(file)


def body(text: str = "repeat 100000", **fields: Any) -> dict[str, Any]:
    return {"model": "echo/slow", "messages": [{"role": "user", "content": text}], **fields}


@contextmanager
def answering(server: Server, text: str = "repeat 100000") -> Iterator[Iterator[Any]]:
    """Give the events of an answer that is under way."""
    with (
        httpx.Client(base_url=server.url, timeout=PATIENCE) as client,
        client.stream("POST", "/v1/chat/completions", json=body(text, stream=True)) as response,
    ):
        lines = (line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: "))
        found = (json.loads(line) for line in lines if line != "[DONE]")
        next(found)
        yield found


def ask_to_stop(server: Server) -> None:
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("stopping: running requests have")


def test_a_draining_server_says_so_and_takes_nothing_new_even_on_an_open_connection(settings: str) -> None:
    with (
        running_server("--config", settings, *FOREVER) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE) as client,
    ):
        assert client.get("/health").status_code == 200
        with answering(server):
            ask_to_stop(server)
            health = client.get("/health")
            assert (health.status_code, health.json()["status"]) == (503, "draining")
            for path in ("/v1/chat/completions", "/v1/models/load"):
                refused = client.post(path, json=body() if "chat" in path else {"model": "echo/other"})
                assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
                assert int(refused.headers["retry-after"]) > 0
            # Somebody who connects only now is told as well.
            assert httpx.get(f"{server.url}/health", timeout=PATIENCE).status_code == 503
        assert server.process.wait(STOP_SECONDS) == 0


def test_what_runs_finishes_before_the_server_ends(settings: str) -> None:
    with running_server("--config", settings, *FOREVER) as server:
        with answering(server, "repeat 30") as events:
            ask_to_stop(server)
            last = list(events)[-1]
        assert last["choices"][0]["finish_reason"] == "stop"
        assert server.process.wait(STOP_SECONDS) == 0


def test_what_is_not_done_in_time_is_told_so(settings: str) -> None:
    with running_server("--config", settings, "--drain-timeout", "0.2") as server:
        with answering(server) as events:
            ask_to_stop(server)
            last = list(events)[-1]
        assert last["error"]["code"] == "worker_died"
        assert "unloaded while it was answering" in last["error"]["message"]
        assert server.process.wait(STOP_SECONDS) == 0


def test_a_second_signal_ends_it_at_once(settings: str) -> None:
    with running_server("--config", settings, *FOREVER) as server:
        with answering(server) as events:
            ask_to_stop(server)
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("stopping at once")
            assert "error" in list(events)[-1]
        assert server.process.wait(STOP_SECONDS) == 0


def test_a_server_that_stopped_leaves_nothing_behind(settings: str, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    before = set(Path("/dev/shm").iterdir())
    with running_server("--config", settings, env={"TMPDIR": str(scratch)}) as server:
        assert httpx.post(f"{server.url}/v1/chat/completions", json=body("hi"), timeout=PATIENCE).status_code == 200
        children, port = server.children(), int(server.url.rpartition(":")[2])
        assert children
        with answering(server):
            ask_to_stop(server)
        assert server.process.wait(STOP_SECONDS) == 0
    assert not psutil.wait_procs(children, STOP_SECONDS)[1]
    assert list(scratch.iterdir()) == []
    assert set(Path("/dev/shm").iterdir()) <= before
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_server_that_is_still_loading_models_stops_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "late.toml"
    file.write_text('[model."echo/late"]\noptions = {load_seconds = 600}\n')
    with running_server("--config", str(file), "--models-preload", "echo/late", *FOREVER) as server:
        server.wait_for("loading echo/late")
        assert server.stop() == 0
