"""With logging.format = "json" every line that a server and its processes write is a JSON object."""

import json
import signal
import socket
from pathlib import Path

import httpx
import pytest

from installed import install, on_path
from server import running_server

PATIENCE = 30.0
NARRATOR = '''
import os, subprocess, sys, warnings
from universal_core import Backend, Claim, ModelInfo, hookimpl

API_VERSION = 1


class Model:
    def __init__(self, info, options):
        print("loading on standard output")
        print("loading on standard error", file=sys.stderr)
        warnings.warn("an old option", stacklevel=1)
        sys.stderr.write("half a ")
        sys.stderr.write("line\\n")
        os.write(2, b"from below Python\\n")

    def chat(self, request):
        raise RuntimeError("asked to\\nfail")


@hookimpl
def register_backends():
    return [Backend(name="narrator", model="universal_narrator:Model", tasks=("chat",), preload=("universal_noisy",))]


@hookimpl
def find_model(ref):
    return ModelInfo(id=ref.text, ref=ref, source="narrator", path="") if ref.name.startswith("narrator/") else None


@hookimpl
def claim_model(info):
    return Claim(backend="narrator", tasks=("chat",), reason="it is") if info.source == "narrator" else None
'''
NOISY = "import sys\nprint('imported', file=sys.stderr)\n"


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    install(folder, "broken", "raise RuntimeError('no driver')")
    install(folder, "narrator", NARRATOR)
    (folder / "universal_noisy.py").write_text(NOISY)
    return folder


@pytest.mark.parametrize("fork", ["true", "false"])
def test_every_line_of_a_servers_life_is_json(plugins: Path, fork: str) -> None:
    with on_path(plugins), running_server("--logging-format", "json", "--workers-fork", fork) as server:
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
            for model in ("echo/a", "narrator/a", "echo/fail", "echo/die"):
                client.post(
                    "/v1/chat/completions", json={"model": model, "messages": [{"role": "user", "content": "hi"}]}
                )
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
    messages = [entry["message"] for entry in entries]
    for words in (
        "plugin broken (universal-broken 1.0) is quarantined: no driver",
        "imported",
        "loading on standard output",
        "loading on standard error",
        "half a line",
        "from below Python",
        "POST /v1/chat/completions",
        "GET /nowhere",
    ):
        assert words in messages
    assert any("an old option" in message for message in messages)
    assert any("asked to\nfail" in entry.get("exception", "") for entry in entries)
