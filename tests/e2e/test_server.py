"""A real server process, spoken to over HTTP: what users rely on when things go wrong."""

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from server import Server, running_server

SETTINGS = """
[model."echo/slow"]
options = {delay = 0.02}
[model."echo/late"]
options = {load_seconds = 1.0}
[model."echo/crowd"]
options = {load_seconds = 1.0}
[model.alias]
model = "echo/target"
[model."echo/wrong"]
options = {dealy = 1}
"""
PATIENCE = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    file = tmp_path_factory.mktemp("settings") / "universal.toml"
    file.write_text(SETTINGS)
    with running_server("--config", str(file), "--keepalive", "0.2") as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    limits = httpx.Limits(max_connections=None)
    with httpx.Client(base_url=server.url, timeout=PATIENCE, limits=limits) as found:
        yield found


def chat(model: str, text: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def said(response: httpx.Response) -> str:
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


def events(lines: Iterator[str]) -> Iterator[Any]:
    for line in lines:
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


def until_idle(client: httpx.Client, model: str) -> dict[str, Any]:
    """Return a model's row of /health once nothing runs on it."""
    while True:
        row: dict[str, Any] = next(row for row in client.get("/health").json()["models"] if row["id"] == model)
        if row["active"] == 0:
            return row


def test_a_hundred_first_requests_load_a_model_once(server: Server, client: httpx.Client) -> None:
    with ThreadPoolExecutor(100) as threads:
        jobs = [
            threads.submit(client.post, "/v1/chat/completions", json=chat("echo/crowd", f"hi {n}")) for n in range(100)
        ]
    assert [said(job.result()) for job in jobs] == [f"hi {n}" for n in range(100)]
    assert server.log.count("echo/crowd is ready") == 1


def test_a_stream_is_kept_alive_while_its_model_loads(client: httpx.Client) -> None:
    client.post("/v1/models/unload", json={"model": "echo/late"})
    with client.stream("POST", "/v1/chat/completions", json=chat("echo/late", "hello", stream=True)) as response:
        lines = [line for line in response.iter_lines() if line]
    assert lines[0] == ": loading echo/late: loading"
    assert lines[-1] == "data: [DONE]"


def test_a_killed_worker_ends_its_stream_with_an_error_and_the_next_request_loads_it_again(
    server: Server, client: httpx.Client
) -> None:
    with client.stream("POST", "/v1/chat/completions", json=chat("echo/slow", "repeat 5000", stream=True)) as response:
        found = events(response.iter_lines())
        for _ in range(3):
            next(found)
        worker = server.worker_of("echo/slow")
        worker.send_signal(signal.SIGKILL)
        rest = list(found)
    assert rest[-1]["error"]["code"] == "worker_died"
    assert "echo/slow" not in client.get("/health").json()["loaded_models"]
    assert said(client.post("/v1/chat/completions", json=chat("echo/slow", "here again"))) == "here again"
    server.wait_for("echo/slow .* ended by itself: killed by SIGKILL")


def test_a_model_that_dies_while_answering_is_a_502_that_is_safe_to_retry(client: httpx.Client) -> None:
    response = client.post("/v1/chat/completions", json=chat("echo/a", "die"))
    assert (response.status_code, response.json()["error"]["code"]) == (502, "worker_died")
    assert "x-should-retry" not in response.headers


def test_a_stream_that_its_client_leaves_stops_the_model(client: httpx.Client) -> None:
    with client.stream(
        "POST", "/v1/chat/completions", json=chat("echo/slow", "repeat 100000", stream=True)
    ) as response:
        next(events(response.iter_lines()))
    assert until_idle(client, "echo/slow")["active"] == 0


def test_a_plain_request_that_its_client_leaves_stops_the_model(server: Server, client: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/chat/completions", json=chat("echo/slow", "repeat 100000"), timeout=0.5)
    assert until_idle(client, "echo/slow")["active"] == 0


def test_a_failed_load_says_why_and_is_not_tried_in_a_loop(server: Server, client: httpx.Client) -> None:
    told = "loading echo/fail failed: echo/fail could not be loaded: RuntimeError"
    before = server.log.count(told)
    first = client.post("/v1/chat/completions", json=chat("echo/fail", "x"))
    second = client.post("/v1/chat/completions", json=chat("echo/fail", "x"))
    assert first.status_code == second.status_code == 503
    assert "this echo model never loads" in first.json()["error"]["message"]
    assert "not tried again" in second.json()["error"]["message"]
    assert first.headers["x-should-retry"] == "false"
    assert server.log.count(told) == before + 1
    assert "echo/fail" not in [row["id"] for row in client.get("/health").json()["models"]]


def test_a_worker_that_dies_while_loading_is_told_with_how_it_ended(client: httpx.Client) -> None:
    response = client.post("/v1/chat/completions", json=chat("echo/die", "x"))
    assert response.json()["error"]["code"] == "model_load_failed"
    assert "killed by SIGKILL" in response.json()["error"]["message"]


def test_a_bug_in_a_model_is_a_500_without_a_stack(server: Server, client: httpx.Client) -> None:
    response = client.post(
        "/v1/chat/completions", json=chat("echo/a", "fail now"), headers={"x-request-id": "my-own-id"}
    )
    assert response.status_code == 500
    assert "Traceback" not in response.text
    assert response.headers["x-request-id"] == "my-own-id"
    server.wait_for("RuntimeError: asked to fail")
    server.wait_for("chat failed request_id=my-own-id")


def test_an_alias_answers_under_its_own_name(client: httpx.Client) -> None:
    assert client.post("/v1/chat/completions", json=chat("alias", "hi")).json()["model"] == "alias"
    assert "alias" in [model["id"] for model in client.get("/v1/models").json()["data"]]


def test_a_wrong_option_in_the_configuration_is_told_with_the_known_ones(client: httpx.Client) -> None:
    response = client.post("/v1/chat/completions", json=chat("echo/wrong", "hi"))
    assert response.status_code == 400
    assert "dealy" in response.json()["error"]["message"]
    assert "delay" in response.json()["error"]["message"]


def test_load_reports_progress_and_unload_ends_the_worker(server: Server, client: httpx.Client) -> None:
    client.post("/v1/models/load", json={"model": "echo/late"})
    worker = server.worker_of("echo/late")
    assert client.post("/v1/models/unload", json={"model": "echo/late"}).json()["state"] == "unloaded"
    assert not worker.is_running()
    with client.stream("POST", "/v1/models/load", json={"model": "echo/late", "stream": True}) as response:
        stages = list(events(response.iter_lines()))
    assert stages[-1] == {"model": "echo/late", "status": "ready", "stage": "ready", "fraction": 1.0}
    assert client.post("/v1/models/unload", json={"model": "echo/never"}).status_code == 404


def test_models_and_their_states_are_listed(client: httpx.Client) -> None:
    client.post("/v1/models/load", json={"model": "echo/a"})
    row = client.get("/v1/models/echo/a").json()
    assert (row["id"], row["state"], row["backend"]) == ("echo/a", "ready", "echo")
    assert "chat" in row["tasks"]


def test_several_prompts_and_token_ids_are_completed_in_order(client: httpx.Client) -> None:
    body = {"model": "echo/a", "prompt": ["one two", "three"], "max_tokens": 5}
    whole = client.post("/v1/completions", json=body).json()
    assert [(c["index"], c["text"]) for c in whole["choices"]] == [(0, "one two"), (1, "three")]
    with client.stream("POST", "/v1/completions", json={**body, "stream": True}) as response:
        pieces = [choice for event in events(response.iter_lines()) for choice in event["choices"]]
    assert "".join(piece["text"] for piece in pieces if piece["index"] == 0) == "one two"
    assert "".join(piece["text"] for piece in pieces if piece["index"] == 1) == "three"


def test_embeddings_come_in_order_as_numbers_and_as_base64(client: httpx.Client) -> None:
    body = {"model": "echo/a", "input": ["a", "bcd"]}
    plain = client.post("/v1/embeddings", json=body).json()
    assert [row["embedding"] for row in plain["data"]] == [[1.0, 97.0], [3.0, 98.0]]
    packed = client.post("/v1/embeddings", json={**body, "encoding_format": "base64"}).json()
    assert packed["data"][0]["embedding"] == "AACAPwAAwkI="
    refused = client.post("/v1/embeddings", json={"model": "echo/a", "input": ["a", ""]})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input")


def test_every_response_tells_its_id_and_its_times(client: httpx.Client) -> None:
    answered = client.post("/v1/chat/completions", json=chat("echo/a", "hi"))
    for part in ("queue;dur=", "load;dur=", "prefill;dur=", "generate;dur="):
        assert part in answered.headers["server-timing"]
    for response in (answered, client.get("/health"), client.get("/nowhere")):
        assert response.headers["x-request-id"]
        assert "dur=" in response.headers["server-timing"]


def test_a_stopping_server_finishes_what_runs_and_leaves_nothing() -> None:
    with running_server() as server, httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        body = chat("echo/a", "repeat 20000", stream=True)
        with client.stream("POST", "/v1/chat/completions", json=body) as response:
            found = events(response.iter_lines())
            next(found)
            children = server.children()
            server.process.send_signal(signal.SIGTERM)
            assert list(found)[-1]["choices"][0]["finish_reason"] == "stop"
        assert server.process.wait(PATIENCE) == 0
        assert not psutil.wait_procs(children, PATIENCE)[1]


def test_workers_die_with_a_server_that_is_killed() -> None:
    with running_server() as server:
        httpx.post(f"{server.url}/v1/models/load", json={"model": "echo/a"}, timeout=PATIENCE)
        children = server.children()
        assert len(children) == 2, "a nursery and a worker"
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(PATIENCE)
        assert not psutil.wait_procs(children, PATIENCE)[1]


def test_workers_of_their_own_interpreter_work_and_die_alike() -> None:
    with running_server("--workers-fork", "false") as server:
        response = httpx.post(f"{server.url}/v1/chat/completions", json=chat("echo/a", "hi"), timeout=PATIENCE)
        assert said(response) == "hi"
        children = server.children()
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(PATIENCE)
        assert not psutil.wait_procs(children, PATIENCE)[1]


def test_a_dead_nursery_is_replaced() -> None:
    with running_server() as server, httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        client.post("/v1/models/load", json={"model": "echo/a"})
        nursery = psutil.Process(server.process.pid).children()[0]
        nursery.kill()
        nursery.wait()
        assert said(client.post("/v1/chat/completions", json=chat("echo/b", "hi"))) == "hi"


def test_idle_models_go_and_pinned_ones_stay(tmp_path: Path) -> None:
    file = tmp_path / "universal.toml"
    file.write_text('[model."echo/pinned"]\npinned = true\n')
    flags = ("--config", str(file), "--pool-unload-timeout", "0.2", "--pool-cleanup-interval", "0.05")
    with running_server(*flags) as server, httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        for model in ("echo/pinned", "echo/a"):
            client.post("/v1/models/load", json={"model": model})
        server.wait_for("echo/a is unloaded: idle")
        assert client.get("/health").json()["loaded_models"] == ["echo/pinned"]


def test_a_port_in_use_is_one_clear_line(server: Server) -> None:
    port = server.url.rpartition(":")[2]
    with (
        pytest.raises(RuntimeError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another"),
        running_server("--port", port),
    ):
        pass
