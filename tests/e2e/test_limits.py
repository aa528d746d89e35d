"""What the HTTP process costs: it stays small and knows no machine-learning library, whatever is installed."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from server import Server, running_server

PATIENCE = 30.0
MOST_BYTES = 120_000_000
LIBRARIES = ("libtorch", "_C.cpython", "libcuda", "libggml", "onnxruntime", "tokenizers", "safetensors", "numpy")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as found:
        yield found


def test_health_answers_with_every_plugin_installed(client: httpx.Client) -> None:
    response = client.get("/health")
    assert response.status_code == 200
    plugins = {plugin["name"]: plugin for plugin in response.json()["plugins"]}
    assert plugins["echo"]["state"] == "active"
    assert {plugin["state"] for plugin in plugins.values()} == {"active"}, plugins


def test_the_http_process_stays_small_and_loads_no_machine_learning_library(
    server: Server, client: httpx.Client, record_property: pytest.FixtureRequest
) -> None:
    body = {"model": "echo/a", "messages": [{"role": "user", "content": "hello"}]}
    assert client.post("/v1/chat/completions", json=body).status_code == 200
    assert client.post("/v1/embeddings", json={"model": "echo/a", "input": ["a"] * 100}).status_code == 200
    assert client.get("/v1/models").status_code == 200
    taken = psutil.Process(server.process.pid).memory_info().rss
    record_property("rss_bytes", taken)  # type: ignore[operator]
    assert taken < MOST_BYTES, f"the HTTP process takes {taken / 1e6:.0f} MB"
    maps = Path(f"/proc/{server.process.pid}/maps")
    if maps.exists():
        text = maps.read_text()
        assert [name for name in LIBRARIES if name in text] == []
