"""With logging.format = "json" every entry of the log is a JSON object, whichever process or library writes it."""

import json
import signal
import socket
from pathlib import Path

import httpx
import pytest

from installed import install, on_path
from server import running_server

PATIENCE = 30.0


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Give a folder with a plugin that cannot be imported."""
    folder = tmp_path / "site"
    folder.mkdir()
    install(folder, "broken", "raise RuntimeError('no driver')")
    return folder


def chat(model: str, text: str = "hi") -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": text}]}


@pytest.mark.parametrize("fork", ["true", "false"])
def test_every_line_of_a_servers_life_is_json(broken: Path, fork: str) -> None:
    with on_path(broken), running_server("--logging-format", "json", "--workers-fork", fork) as server:
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
            for body in (chat("echo/a"), chat("echo/a", "fail now"), chat("echo/fail"), chat("echo/die")):
                client.post("/v1/chat/completions", json=body)
            client.get("/nowhere")
            server.worker_of("echo/a").send_signal(signal.SIGKILL)
            server.wait_for("ended by itself")
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as connection:
            connection.sendall(b"this is no HTTP\r\n\r\n")
            connection.recv(100)
        assert server.stop() == 0
        server.finish()
    entries = [json.loads(line) for line in server.lines]
    assert all({"time", "level", "logger", "message"} <= entry.keys() for entry in entries)
    told = "\n".join(entry["message"] for entry in entries)
    for words in (
        "plugin broken (universal-broken 1.0) is quarantined: no driver",
        "serving on ",
        "echo/a is ready",
        "POST /v1/chat/completions",
        "loading echo/die failed",
        "ended by itself: killed by SIGKILL",
        "stopping: ",
    ):
        assert words in told
    # What a model raises is logged where it is raised: in its worker.
    assert any("RuntimeError: asked to fail" in entry.get("exception", "") for entry in entries)
