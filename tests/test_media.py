"""Media: what a request may name, and all that it may not."""

import asyncio
import base64
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from universal_core import media
from universal_core.config import MediaConfig
from universal_core.errors import BadRequest, Forbidden, PayloadTooLarge, UniversalError
from universal_core.media import PublicOnly, is_public, read_all, read_media

CONTENT = bytes(range(256)) * 4


def read(source: str, **settings: Any) -> bytes:
    return asyncio.run(read_media(source, MediaConfig(**settings), "file"))


def refused(source: str, kind: type[UniversalError], **settings: Any) -> str:
    with pytest.raises(kind) as raised:
        read(source, **settings)
    assert raised.value.param == "file"
    return raised.value.message


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    """Serve a few answers on this machine; return the address."""

    class Pages(BaseHTTPRequestHandler):
        answers: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {
            "/sound.wav": (200, {}, CONTENT),
            "/moved": (302, {"Location": "/sound.wav"}, b""),
            "/loop": (302, {"Location": "/loop"}, b""),
            "/away": (302, {"Location": "file:///etc/passwd"}, b""),
        }

        def do_GET(self) -> None:
            status, headers, body = self.answers.get(self.path, (404, {}, b"no"))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def nearby(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take this machine's own address for a public one."""
    monkeypatch.setattr(media, "is_public", lambda address: address == "127.0.0.1")


def test_base64_and_data_urls_are_read() -> None:
    text = base64.b64encode(CONTENT).decode()
    assert read(text) == CONTENT
    assert read("\n".join(text[at : at + 76] for at in range(0, len(text), 76))) == CONTENT
    assert read(f"data:audio/wav;base64,{text}") == CONTENT
    assert read("data:,hello%20there") == b"hello there"


def test_base64_that_looks_like_a_path_is_base64() -> None:
    data = base64.b64decode("/9j/4AAQSkZJRg==")
    assert read("/9j/4AAQSkZJRg==") == data


@pytest.mark.parametrize("text", ["not base64!", "abc", "data:audio/wav;base64", "data:;base64,???"])
def test_what_is_none_of_these_is_refused(text: str) -> None:
    assert "expected base64" in refused(text, BadRequest) or "comma" in refused(text, BadRequest)


def test_what_is_too_large_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "sound.wav"
    file.write_bytes(CONTENT)
    for source in (base64.b64encode(CONTENT).decode(), str(file)):
        assert "media.max_bytes" in refused(source, PayloadTooLarge, max_bytes=1023, roots=(str(tmp_path),))


def test_several_are_read_and_the_first_that_cannot_be_is_told() -> None:
    texts = {f"images[{at}]": base64.b64encode(CONTENT[at:]).decode() for at in range(20)}
    found = asyncio.run(read_all(texts, MediaConfig()))
    assert list(found.items()) == [(f"images[{at}]", CONTENT[at:]) for at in range(20)]
    with pytest.raises(BadRequest) as raised:
        asyncio.run(read_all({**texts, "images[7]": "no base64!"}, MediaConfig()))
    assert raised.value.param == "images[7]"


def test_several_that_are_too_large_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MOST_TOGETHER", 2 * len(CONTENT))
    text = base64.b64encode(CONTENT).decode()
    assert len(asyncio.run(read_all({"a": text, "b": text}, MediaConfig()))) == 2
    with pytest.raises(PayloadTooLarge, match="a request; send several") as raised:
        asyncio.run(read_all({"a": text, "b": text, "c": text}, MediaConfig()))
    assert raised.value.param == "c"


def test_files_are_read_only_below_the_roots(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "sound.wav").write_bytes(CONTENT)
    (outside / "secret.wav").write_bytes(b"secret")
    (inside / "link.wav").symlink_to(outside / "secret.wav")
    roots = (str(inside),)
    assert read(str(inside / "sound.wav"), roots=roots) == CONTENT
    assert read(f"file://{inside}/sound.wav", roots=roots) == CONTENT
    for path in (outside / "secret.wav", inside / ".." / "outside" / "secret.wav", inside / "link.wav"):
        assert "media.roots" in refused(str(path), Forbidden, roots=roots)
    assert "media.roots" in refused(str(inside / "sound.wav"), Forbidden)
    assert "no file" in refused(str(inside / "nothing.wav"), BadRequest, roots=roots)
    # A file outside is not told from one that does not exist.
    assert refused(str(outside / "nothing.wav"), Forbidden, roots=roots) == refused(
        str(outside / "secret.wav"), Forbidden, roots=roots
    )


@pytest.mark.usefixtures("nearby")
def test_urls_are_fetched_and_redirects_followed(pages: str) -> None:
    assert read(f"{pages}/sound.wav") == CONTENT
    assert read(f"{pages}/moved") == CONTENT


@pytest.mark.usefixtures("nearby")
def test_what_a_url_answers_may_be_refused(pages: str) -> None:
    assert "status 404" in refused(f"{pages}/nothing", BadRequest)
    assert "redirects" in refused(f"{pages}/loop", BadRequest)
    assert "neither http nor https" in refused(f"{pages}/away", Forbidden)
    assert "media.max_bytes" in refused(f"{pages}/sound.wav", PayloadTooLarge, max_bytes=100)
    assert "media.fetch" in refused(f"{pages}/sound.wav", Forbidden, fetch=False)


@pytest.mark.usefixtures("nearby")
def test_a_url_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/sound.wav?key=secret"
        message = refused(address, BadRequest, timeout=0.2)
    assert "media.timeout" in message
    assert "secret" not in message
    assert "cannot be fetched" in refused(address, BadRequest)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "169.254.169.254", "10.0.0.1"])
def test_private_addresses_are_never_connected_to(host: str) -> None:
    assert "public internet" in refused(f"http://{host}:9/sound.wav", Forbidden)


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever order the addresses of a name come in, none of them may lead inside."""

    async def look_up(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, 80)) for address in ("93.184.216.34", "192.168.0.1")]

    async def connect() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
        await PublicOnly("file").connect_tcp("example.org", 80)

    with pytest.raises(Forbidden):
        asyncio.run(connect())


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
    ],
)
def test_public_addresses_are_told_from_others(address: str, public: bool) -> None:
    assert is_public(address) is public
