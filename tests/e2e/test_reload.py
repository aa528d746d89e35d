"""A server that reads its configuration again while it streams: every request ends whole."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from server import Server, running_server

PATIENCE = 30.0
WORDS = 30
CLIENTS = 4
BEFORE = '[model.a]\nmodel = "echo/a"\noptions = {delay = 0.005}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "universal.toml"
    found.write_text(BEFORE)
    return found


@pytest.fixture
def server(file: Path) -> Iterator[Server]:
    with running_server("--config", str(file), "--pool-retry-delay", "7") as found:
        yield found


def reload(server: Server) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/config/reload", timeout=PATIENCE)


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "a", "messages": [{"role": "user", "content": f"repeat {WORDS}"}], **fields}


def streamed(server: Server) -> list[str]:
    """Return the events of one answer; what ends before its time raises."""
    url = f"{server.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body(stream=True), timeout=PATIENCE) as response:
        assert response.status_code == 200, response.read()
        return [line for line in response.iter_lines() if line.startswith("data: ")]


def test_requests_under_load_all_end_whole_whatever_changes(server: Server, file: Path) -> None:
    over, number = Event(), count()
    finished: list[list[str]] = []

    def ask() -> None:
        while not over.is_set():
            finished.append(streamed(server))

    with ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(ask) for _ in range(CLIENTS)]
        try:
            streamed(server)
            workers = {server.worker_of("a").pid}
            for slots in (1, 3, 2):
                file.write_text(f"{BEFORE}slots = {slots}\nunload_timeout = {next(number)}\n")
                if slots == 3:
                    server.process.send_signal(signal.SIGHUP)
                    server.wait_for(r"the configuration was read again .*changed: model.a")
                else:
                    assert reload(server).json()["changed"] == ["model.a"]
                streamed(server)
                workers.add(server.worker_of("a").pid)
        finally:
            over.set()
        for one in asking:
            one.result(PATIENCE)
    assert len(workers) == 4
    # A role, the words, the end, and [DONE].
    assert {len(events) for events in finished} == {WORDS + 3}
    assert {events[-1] for events in finished} == {"data: [DONE]"}


def test_what_changed_is_told_and_what_needs_a_restart(server: Server, file: Path) -> None:
    file.write_text(
        '[hub]\ntimeout = 1\n[logging]\nformat = "json"\n[pool]\nretry_delay = 9\n[model.a]\nmodel = "echo/a"\n'
        "defaults = {max_tokens = 2}\n"
    )
    assert reload(server).json() == {
        "changed": ["logging.format", "model.a"],
        "needs_restart": ["hub.timeout"],
        "file": str(file),
    }
    server.wait_for(r"^\{.*the configuration was read again")
    response = httpx.post(f"{server.url}/v1/chat/completions", json=body(), timeout=PATIENCE)
    assert response.json()["choices"][0]["message"]["content"].strip() == "0 1"


def test_a_file_that_is_wrong_is_refused_and_the_server_goes_on(server: Server, file: Path) -> None:
    for text, words in (
        ("[pool]\nqueue_limit = 0\n", "pool.queue_limit"),
        ("[model.a]\ndefaults = {temprature = 1}\n", "did you mean temperature"),
        ("[", "universal.toml"),
    ):
        file.write_text(text)
        response = reload(server)
        assert response.status_code == 400
        assert words in response.json()["error"]["message"]
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("the configuration stays as it is: .*universal.toml")
    assert len(streamed(server)) == WORDS + 3
