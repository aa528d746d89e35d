"""What a checkup says of the hub, the token, and the port."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from universal_core.checkup.network import HubAnswer, ask_hub, check_hub, check_port, check_token
from universal_core.config import Config, ServerConfig


@contextmanager
def answering(status: int, body: bytes = b"{}") -> Iterator[tuple[str, list[str]]]:
    """Run a website that answers everything alike; gives its address, and the authorization of every request."""
    keys: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers.get("authorization") or "")
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", keys
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))


def at(port: int) -> Config:
    return Config(server=ServerConfig(port=port))


def test_a_hub_that_answers_is_well_and_tells_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(401) as (url, keys):
        monkeypatch.setattr(constants, "ENDPOINT", url)
        answer = ask_hub()
        assert isinstance(answer, HubAnswer)
        assert abs((answer.time or 0) - time.time()) < 60
        assert check_hub(answer).state == "ok"
        assert keys == [""]


def test_a_hub_that_does_not_answer_is_told_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    found = check_hub(ask_hub())
    assert found.state == "warning"
    assert "ConnectError" in found.found
    assert "HTTPS_PROXY" in (found.advice or "")


def test_a_hub_that_is_not_to_be_asked_is_well() -> None:
    assert check_hub(None).state == "ok"
    assert check_hub(HubAnswer(503, None)).state == "warning"


def test_a_token_is_told_to_be_there_and_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert check_token(None).found.startswith("none")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert check_token(None).found == "in HF_TOKEN"
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "token").write_text("hf_secret\n")
    assert check_token(None).found == "kept by `hf auth login`"


def test_a_token_that_the_hub_refuses_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with answering(401) as (url, keys):
        monkeypatch.setattr(constants, "ENDPOINT", url)
        found = check_token(ask_hub())
    assert keys == ["Bearer hf_secret"]
    assert found.state == "problem"
    assert "hf_secret" not in f"{found.found}{found.advice}"


def test_a_free_port_is_well_and_stays_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert check_port(at(port)).found == f"127.0.0.1:{port} is free"
    with socket.create_server(("127.0.0.1", port)):
        pass
    assert check_port(at(0)).state == "ok"


def test_a_port_that_a_server_of_ours_has_is_well() -> None:
    body = json.dumps({"status": "healthy", "loaded_models": [], "version": "0.1.0"}).encode()
    with answering(200, body) as (url, _):
        found = check_port(at(int(url.rpartition(":")[2])))
    assert found.state == "ok"
    assert found.found.endswith("is served by Universal Runtime 0.1.0")


def test_a_port_that_another_program_has_is_a_problem() -> None:
    with answering(200, b"hello") as (url, _):
        port = int(url.rpartition(":")[2])
        found = check_port(at(port))
    assert found.state == "problem"
    assert found.advice == f"universal serve --port {port + 1}  # or another one"


def test_an_address_that_is_not_of_this_machine_is_a_problem() -> None:
    found = check_port(Config(server=ServerConfig(host="256.256.256.256", port=11540)))
    assert found.state == "problem"


def test_dates_that_nobody_can_read_are_left_out() -> None:
    from universal_core.checkup.network import _time_of

    assert _time_of(None) is None
    assert _time_of("yesterday") is None
    assert _time_of(formatdate(1_000_000, usegmt=True)) == 1_000_000
