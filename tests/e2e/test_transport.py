"""What lies below the endpoints: TLS, HTTP/2, WebSockets, and how the server leaves."""

import signal
import socket
import ssl
from pathlib import Path

import httpx
import pytest
import trustme
import wsproto
from wsproto import ConnectionType, WSConnection

from installed import install, on_path
from server import running_server

PATIENCE = 30.0


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def chat(text: str, **fields: object) -> dict[str, object]:
    return {"model": "echo/a", "messages": [{"role": "user", "content": text}], **fields}


def test_it_speaks_http_2_over_tls(authority: trustme.CA, tmp_path: Path) -> None:
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    flags = ("--certfile", str(tmp_path / "cert.pem"), "--keyfile", str(tmp_path / "key.pem"))
    with running_server(*flags) as server, httpx.Client(http2=True, verify=trust, timeout=PATIENCE) as client:
        assert server.url.startswith("https://")
        with client.stream("POST", f"{server.url}/v1/chat/completions", json=chat("a b c", stream=True)) as response:
            assert response.http_version == "HTTP/2"
            lines = [line for line in response.iter_lines() if line]
        assert lines[-1] == "data: [DONE]"


def test_while_it_drains_health_says_so_and_new_work_is_refused() -> None:
    with running_server() as server, httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        with client.stream("POST", "/v1/chat/completions", json=chat("repeat 20000", stream=True)) as response:
            lines = response.iter_lines()
            next(lines)
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("stopping")
            health = client.get("/health")
            refused = client.post("/v1/chat/completions", json=chat("hello"))
            assert [line for line in lines if line][-1] == "data: [DONE]"
        assert (health.status_code, health.json()["status"]) == (503, "draining")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        assert int(refused.headers["retry-after"]) > 0
        assert server.process.wait(PATIENCE) == 0


def test_a_second_signal_ends_it_at_once() -> None:
    with (
        running_server("--drain-timeout", "1000") as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE) as client,
    ):
        body = {**chat("repeat 100000000", stream=True)}
        with client.stream("POST", "/v1/chat/completions", json=body) as response:
            next(response.iter_lines())
            for _ in range(2):
                server.process.send_signal(signal.SIGINT)
                server.wait_for("stopping")
            assert server.process.wait(PATIENCE) == 0


def test_what_is_not_http_harms_nothing() -> None:
    with running_server() as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), PATIENCE) as connection:
            connection.sendall(b"\x00\x01\x02 nonsense\r\n\r\n")
            connection.recv(4096)
        assert httpx.get(f"{server.url}/health").json()["status"] == "healthy"


CHATTER = """
from starlette.routing import WebSocketRoute
from universal_core import hookimpl
API_VERSION = 1
async def echo(socket):
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text.upper())
@hookimpl
def register_routes(runtime): return [WebSocketRoute("/v1/shout", echo)]
"""


def test_a_plugin_may_speak_over_websockets(tmp_path: Path) -> None:
    install(tmp_path, "chatter", CHATTER)
    with on_path(tmp_path), running_server() as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), PATIENCE) as connection:
            protocol = WSConnection(ConnectionType.CLIENT)
            connection.sendall(protocol.send(wsproto.events.Request(host=host, target="/v1/shout")))
            assert isinstance(answer(connection, protocol), wsproto.events.AcceptConnection)
            connection.sendall(protocol.send(wsproto.events.TextMessage("hello")))
            message = answer(connection, protocol)
            assert isinstance(message, wsproto.events.TextMessage)
            assert message.data == "HELLO"


def answer(connection: socket.socket, protocol: WSConnection) -> wsproto.events.Event:
    """Return the next event of a WebSocket."""
    while True:
        for event in protocol.events():
            return event
        protocol.receive_data(connection.recv(4096))
