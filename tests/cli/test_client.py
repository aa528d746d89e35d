"""How commands speak with a server: addresses, keys, proxies, certificates, and what goes wrong."""

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import pytest
import trustme

from server import Server
from terminal import piped
from universal_core.cli.client import Client, CommandError, NoServer, configured_url, server_url
from universal_core.cli.events import read_events
from universal_core.cli.main import universal


class Answers(BaseHTTPRequestHandler):
    """Answers as its path says, and tells which key came."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        key = self.headers.get("authorization", "none")
        status, body = {
            "/locked": (401, {"error": {"message": "a key is needed"}}),
            "/broken": (502, None),
            "/moved": (307, {}),
            "/key": (200, {"key": key}),
        }[self.path]
        data = b"<h1>Bad   Gateway</h1>" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "text/html" if body is None else "application/json")
        self.send_header("location", "https://there")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Keep quiet."""


@pytest.fixture
def answers() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def address(server: ThreadingHTTPServer, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{server.server_port}"


def test_events_end_at_line_feeds_alone_and_comments_are_told() -> None:
    sent = b': loading\n\ndata: "a\xe2\x80\xa8b"\r\n\r\nevent: x\ndata: 1\ndata: 2\n\ndata: cut'
    comments: list[str] = []
    pieces = [sent[at : at + 1] for at in range(len(sent))]
    assert list(read_events(pieces, comments.append)) == ['"a\u2028b"', "1\n2"]
    assert comments == ["loading"]


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://a:1", "http://a:1"),
        ("a:1/", "http://a:1"),
        ("https://a/v1", "https://a"),
        ("https://a/here/v1/", "https://a/here"),
        ("[::1]:8", "http://[::1]:8"),
    ],
)
def test_addresses_are_understood(text: str, url: str) -> None:
    assert server_url(text) == url


@pytest.mark.parametrize("text", ["ftp://a", "http://", "http://a:b", "a:99999", ""])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected an address such as"):
        server_url(text)
    assert piped("embed", "m", "x", "--url", text or "//").exit_code == 2


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ("", "http://127.0.0.1:11540"),
        ("[server]\nhost = '0.0.0.0'\nport = 5\n", "http://127.0.0.1:5"),
        ("[server]\nhost = '::'\ncertfile = 'c.pem'\n", "https://[::1]:11540"),
    ],
)
def test_without_an_address_the_configured_server_is_asked(tmp_path: Path, settings: str, url: str) -> None:
    (tmp_path / "universal.toml").write_text(settings)
    assert configured_url() == url


def test_without_a_server_the_command_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIVERSAL_RUNTIME_PORT", "9")
    done = piped("embed", "m", "x")
    assert done.exit_code == 3
    assert done.stderr == (
        "universal: no server answers on http://127.0.0.1:9: start one with `universal serve`, or name another with "
        "--url\n"
    )


def test_keys_are_sent_and_asked_for(answers: ThreadingHTTPServer) -> None:
    with Client(address(answers), "mine") as client:
        assert client.get("/key") == {"key": "Bearer mine"}
        with pytest.raises(CommandError, match="a key is needed; a key is given with --api-key or in") as raised:
            client.get("/locked")
    assert (raised.value.status, raised.value.exit_code) == (401, 1)


def test_what_is_no_server_of_this_kind_is_told(answers: ThreadingHTTPServer) -> None:
    with Client(address(answers)) as client, pytest.raises(CommandError, match="status 502: <h1>Bad Gateway</h1>"):
        client.get("/broken")
    with Client(address(answers)) as client, pytest.raises(CommandError, match="points to https://there: name that"):
        client.get("/moved")
    with Client(address(answers, "https")) as client, pytest.raises(NoServer, match="no secure connection"):
        client.get("/key")


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_a_proxy_is_not_asked_for_this_machine(
    answers: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, proxy)
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    with Client(address(answers)) as client:
        assert client.get("/key") == {"key": "none"}
    with Client("http://elsewhere.invalid") as client, pytest.raises(CommandError):
        client.get("/key")


def test_a_certificate_of_ones_own_is_trusted_by_its_variable(
    answers: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    answers.socket = context.wrap_socket(answers.socket, server_side=True)
    with Client(address(answers, "https")) as client, pytest.raises(NoServer, match="SSL_CERT_FILE names the file"):
        client.get("/key")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with Client(address(answers, "https")) as client:
        assert client.get("/key") == {"key": "none"}


def test_an_error_in_a_stream_is_raised(server: Server) -> None:
    comments: list[str] = []
    body = {"model": "slowly", "prompt": "fail it", "stream": True}
    with Client(server.url) as client, pytest.raises(CommandError, match="the model failed in generate_image"):
        list(client.stream("/v1/images/generations", body, comments.append))
    assert "step 2 of 4" in comments


def test_leaving_a_stream_early_stops_the_server(server: Server) -> None:
    body = {"model": "leaving", "messages": [{"role": "user", "content": "repeat 100000"}], "stream": True}
    with Client(server.url) as client:
        with closing(client.stream("/v1/chat/completions", body)) as events:
            next(events)
        assert client.get("/health")["status"] == "healthy"
        server.wait_for(r"/v1/chat/completions status=499 .*model=leaving")


def test_every_command_of_the_core_has_an_example() -> None:
    context = click.Context(universal)
    commands = [universal.get_command(context, name) for name in universal.list_commands(context)]
    lacking = []
    for command in commands:
        assert command is not None
        text = command.get_help(click.Context(command, info_name=command.name))
        if (
            command.callback.__module__.startswith("universal_core.")
            and f"Example:\n    universal {command.name}" not in text
        ):
            lacking.append(command.name)
    assert lacking == []


def test_help_is_there_without_the_libraries_that_commands_need() -> None:
    program = (
        "import sys\n"
        "from universal_core.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"rich", "httpx2", "huggingface_hub", "hypercorn", "starlette", "torch", "transformers"}
