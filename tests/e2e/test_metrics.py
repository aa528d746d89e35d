"""A real server is used, and what happens to it is what Prometheus would read."""

import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from scraping import Scrape
from server import Server, running_server

SETTINGS = """
[pool]
memory_limit = 50_000_000
takeover = 0.1

[model."echo/slow"]
options = {delay = 0.02}
"""
PATIENCE = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    file = tmp_path_factory.mktemp("settings") / "universal.toml"
    file.write_text(SETTINGS)
    with running_server("--config", str(file)) as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as found:
        yield found


def chat(model: str, text: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def scrape(client: httpx.Client) -> Scrape:
    return Scrape(client.get("/metrics").raise_for_status().text)


def until(client: httpx.Client, holds: Callable[[Scrape], bool]) -> Scrape:
    """Return the first scrape of which something holds."""
    while not holds(found := scrape(client)):
        pass
    return found


def test_an_answered_request_is_there_with_its_route_tokens_and_load(client: httpx.Client) -> None:
    client.post("/v1/chat/completions", json=chat("echo/a", "one two three")).raise_for_status()
    found = scrape(client)
    assert found.value("requests_total", model="echo/a", task="chat", outcome="ok") == 1
    assert found.value("output_tokens_total", model="echo/a") == 3
    assert found.value("model_load_seconds_count", model="echo/a") == 1
    assert found.value("http_requests_total", route="/v1/chat/completions", method="POST", status="2xx") >= 1
    assert found.value("model_memory_measured_bytes", model="echo/a", device="cpu") > 1_000_000


def test_a_stream_that_its_client_leaves_is_cancelled(client: httpx.Client) -> None:
    body = chat("echo/slow", "repeat 100000", stream=True)
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        lines = (line for line in response.iter_lines() if line.startswith("data:"))
        next(lines)
        assert scrape(client).value("active_requests", model="echo/slow") == 1
    found = until(client, lambda found: found.value("requests_total", model="echo/slow", outcome="cancelled") == 1)
    assert found.value("time_to_first_token_seconds_count", model="echo/slow") == 1
    assert until(client, lambda found: found.value("active_requests", model="echo/slow") == 0)


def test_a_worker_that_is_killed_is_a_death_and_an_error(server: Server, client: httpx.Client) -> None:
    body = chat("echo/slow", "repeat 100000", stream=True)
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        lines = (line for line in response.iter_lines() if line.startswith("data:"))
        next(lines)
        server.worker_of("echo/slow").send_signal(signal.SIGKILL)
        assert any("worker_died" in line for line in lines)
    found = until(client, lambda found: found.value("worker_deaths_total", model="echo/slow") == 1)
    assert found.value("model_unloads_total", model="echo/slow", cause="died") == 1
    assert found.value("request_errors_total", model="echo/slow", code="worker_died") == 1
    assert "echo/slow" not in found.labels("model_ready", "model")


def test_a_model_that_makes_room_is_an_eviction(client: httpx.Client) -> None:
    for number in range(8):
        client.post("/v1/chat/completions", json=chat(f"echo/room-{number}", "hello")).raise_for_status()
    found = scrape(client)
    assert found.value("model_unloads_total", cause="room") >= 4
    assert found.value("model_unloads_total", model="echo/room-0", cause="room") == 1
    assert "echo/room-0" not in found.labels("model_ready", "model")
    assert "echo/room-7" in found.labels("model_ready", "model")


def test_scrapes_load_nothing(client: httpx.Client) -> None:
    before = client.get("/health").json()["models"]
    scrape(client)
    after = client.get("/health").json()["models"]
    assert [model["id"] for model in after] == [model["id"] for model in before]


def test_a_page_has_no_name_that_a_client_made_up(client: httpx.Client) -> None:
    client.post("/v1/chat/completions", json=chat("no/such-model-of-mine", "hello"))
    client.get("/no/such/path/of/mine")
    client.post("/v1/chat/completions", json=chat("echo/a", "hello"), headers={"x-request-id": "of-mine"})
    text = client.get("/metrics").text
    assert not re.search("of.mine", text)


def test_a_server_says_nothing_of_traces_that_nobody_asked_for(server: Server, client: httpx.Client) -> None:
    client.post("/v1/chat/completions", json=chat("echo/a", "hello")).raise_for_status()
    assert "traces" not in server.log


def test_a_collector_that_is_not_there_delays_neither_requests_nor_the_end() -> None:
    with running_server(env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}) as tracing:
        answer = httpx.post(f"{tracing.url}/v1/chat/completions", json=chat("echo/a", "hello"), timeout=PATIENCE)
        assert answer.status_code == 200
        assert tracing.stop() == 0
    assert tracing.log.count("traces cannot be delivered") <= 1
    assert "Traceback" not in tracing.log
