"""Forms: files and fields are read into the same Structs as JSON, and what is wrong is told by the field."""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from universal_core.config import Config, ServerConfig
from universal_core.http import Upload, answer, read_form
from universal_core.http.errors import HANDLERS


class Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    file: str | Upload
    share: float | None = None
    stream: bool | None = None
    kind: Literal["one", "two"] | None = None
    kinds: list[Literal["one", "two"]] | None = None
    words: str | list[str] | None = None
    strategy: Literal["auto"] | dict[str, Any] | None = None


async def show(request: Request) -> Response:
    body = await read_form(request, Body)
    return answer([body.file, body.share, body.stream, body.kind, body.kinds, body.strategy, body.words])


class FakeRuntime:
    config = Config(server=ServerConfig(max_body_bytes=20_000_000))


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = Starlette(routes=[Route("/", show, methods=["POST"])], exception_handlers=HANDLERS)
    app.state.runtime = FakeRuntime()
    with TestClient(app) as found:
        yield found


def test_a_form_and_json_say_the_same(client: TestClient) -> None:
    fields: dict[str, Any] = {"share": "0.5", "stream": "true", "kind": "one", "kinds[]": ["one", "two"]}
    form = client.post("/", files={"file": ("a.wav", b"sound")}, data=fields).json()
    assert form == [{"data": "c291bmQ=", "name": "a.wav"}, 0.5, True, "one", ["one", "two"], None, None]
    whole = {"file": "c291bmQ=", "share": 0.5, "stream": True, "kind": "one", "kinds": ["one", "two"]}
    assert client.post("/", json=whole).json()[1:] == form[1:]


def test_lists_may_come_without_brackets_and_objects_with_keys(client: TestClient) -> None:
    fields = {"kinds": "two", "strategy[type]": "vad", "strategy[size]": "3"}
    assert client.post("/", files={"file": b"x"}, data=fields).json()[4:6] == [["two"], {"type": "vad", "size": "3"}]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("words", "a")], "a"),
        ([("words", "a"), ("words", "a"), ("words", "b")], ["a", "a", "b"]),
        ([("words[]", "a")], ["a"]),
        ([("words", "a"), ("words[]", "b")], ["a", "b"]),
        ([("words[]", "a"), ("words", "b")], ["a", "b"]),
    ],
)
def test_what_may_be_a_list_is_one_if_it_comes_several_times(
    client: TestClient, fields: list[tuple[str, str]], expected: object
) -> None:
    files = [("file", ("a.wav", b"x")), *((name, (None, value)) for name, value in fields)]
    assert client.post("/", files=files).json()[6] == expected


def test_a_field_may_name_the_file(client: TestClient) -> None:
    files = {"file": (None, "data:,x"), "share": (None, "1")}
    assert client.post("/", files=files).json()[:2] == ["data:,x", 1.0]


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"share": "much"}, "share", "expected float"),
        ({"stream": "maybe"}, "stream", "expected bool"),
        ({"kind": "three"}, "kind", "expected one of one, two"),
        ({"kinds[]": ["one", "three"]}, "kinds[1]", "expected one of one, two"),
        ({"sharr": "1"}, "sharr", "did you mean share"),
        ({"share": ["1", "2"]}, "share", "came twice"),
        ({"share": "1", "share[]": "2"}, "share", "came twice"),
        ({"words": "a", "words[x]": "b"}, "words", "came twice"),
        ({"strategy[x]": "a", "strategy": "b"}, "strategy", "came twice"),
        ({"strategy[x]": ["a", "b"]}, "strategy", "came twice"),
    ],
)
def test_what_is_wrong_is_told_with_the_field(
    client: TestClient, fields: dict[str, Any], param: str, words: str
) -> None:
    response = client.post("/", files={"file": b"x"}, data=fields)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param)
    assert words in error["message"]


def test_a_missing_file_is_named(client: TestClient) -> None:
    response = client.post("/", files={"kind": (None, "one")})
    assert response.json()["error"]["message"] == "file is required"


def test_a_body_over_the_limit_is_refused(client: TestClient) -> None:
    response = client.post("/", files={"file": bytes(20_000_001)})
    assert response.status_code == 413
    assert "server.max_body_bytes" in response.json()["error"]["message"]
    assert client.post("/", files={"file": bytes(19_000_000)}).status_code == 200


def test_fields_that_are_no_file_are_small(client: TestClient) -> None:
    response = client.post("/", files={"file": (None, "x" * 2_000_000)})
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("media_type", "content", "status"),
    [
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=b", b"nothing of a form", 400),
        ("application/x-www-form-urlencoded", b"file=x", 415),
        ("", b"x", 415),
        ("application/json", b"{", 400),
    ],
)
def test_other_bodies_are_refused(client: TestClient, media_type: str, content: bytes, status: int) -> None:
    response = client.post("/", content=content, headers={"content-type": media_type})
    assert response.status_code == status, response.text
