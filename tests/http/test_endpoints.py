"""What every endpoint has in common: the shape of errors, limits of bodies, request ids, times, and the access log."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from installed import install, on_path
from universal_core.app import create_app
from universal_core.config import Config, ServerConfig
from universal_core.runtime import Runtime

ROUTES = """
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from universal_core import BadRequest, hookimpl
from universal_core.http import note, read_bytes

API_VERSION = 1

async def broken(request):
    raise RuntimeError("secret path /home/me")

async def refusing(request):
    raise BadRequest("not like this", param="n")

async def noting(request):
    note(request, model="m")
    return PlainTextResponse("ok", headers={"server-timing": "own;dur=1"})

async def size(request):
    return PlainTextResponse(str(len(await read_bytes(request))))

@hookimpl
def register_routes(runtime):
    routes = {"broken": broken, "refusing": refusing, "noting": noting, "size": size}
    return [Route(f"/{name}", route, methods=["GET", "POST"]) for name, route in routes.items()]
"""
LIMIT = 1000


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path) -> Iterator[None]:
    folder = tmp_path / "plugins"
    folder.mkdir()
    install(folder, "routes", ROUTES)
    with on_path(folder):
        yield


def ask(method: str, path: str, **options: Any) -> httpx.Response:
    """Send one request to the application itself."""

    async def main() -> httpx.Response:
        app = create_app(Runtime(Config(server=ServerConfig(max_body_bytes=LIMIT))))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)

    return asyncio.run(main())


def error(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    found: dict[str, Any] = response.json()["error"]
    assert set(found) == {"message", "type", "param", "code"}
    return found


def test_an_unknown_path_is_a_404_in_the_usual_shape() -> None:
    found = error(ask("GET", "/v1/nowhere"), 404)
    assert (found["code"], found["type"]) == ("not_found", "invalid_request_error")
    assert "/v1/nowhere" in found["message"]


def test_a_wrong_method_is_a_405_with_the_right_ones() -> None:
    response = ask("GET", "/v1/chat/completions")
    assert "GET is not allowed on /v1/chat/completions; allowed: POST" in error(response, 405)["message"]
    assert response.headers["allow"] == "POST"


def test_an_error_of_ours_keeps_its_words() -> None:
    response = ask("GET", "/refusing")
    assert error(response, 400)["param"] == "n"
    assert response.headers["x-should-retry"] == "false"


def test_a_defect_is_a_500_that_tells_nothing_but_where_to_look() -> None:
    response = ask("GET", "/broken", headers={"x-request-id": "look-for-me"})
    found = error(response, 500)
    assert "look-for-me" in found["message"]
    assert "secret" not in response.text


def test_a_defect_has_its_request_id_and_its_times_in_the_headers_too() -> None:
    response = ask("GET", "/broken", headers={"x-request-id": "look-for-me"})
    assert response.headers["x-request-id"] == "look-for-me"
    assert "dur=" in response.headers["server-timing"]


def test_a_defect_is_in_the_access_log_as_a_500(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "universal_core.access"):
        ask("GET", "/broken")
    (entry,) = [record for record in caplog.records if record.name == "universal_core.access"]
    assert entry.__dict__["status"] == 500


@pytest.mark.parametrize(
    "media", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "x"]
)
def test_a_body_of_another_type_is_a_415_with_the_right_one(media: str) -> None:
    response = ask("POST", "/v1/embeddings", content=b"{}", headers={"content-type": media})
    assert "expected Content-Type: application/json, got" in error(response, 415)["message"]


@pytest.mark.parametrize(
    "media", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json"]
)
def test_json_by_any_of_its_names_is_read(media: str) -> None:
    response = ask("POST", "/v1/embeddings", content=b"{}", headers={"content-type": media})
    assert error(response, 400)["param"] == "input"


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 100


def test_a_body_within_the_limit_is_read_however_it_is_cut() -> None:
    assert ask("POST", "/size", content=chunks(10)).text == "1000"
    assert ask("POST", "/size").text == "0"


def test_a_body_over_the_limit_is_refused_before_it_is_all_there() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100_000):
            sent += 1
            yield b"x" * 100

    response = ask("POST", "/size", content=endless())
    assert "over the limit of 1000 bytes (server.max_body_bytes)" in error(response, 413)["message"]
    assert sent < 20


def test_a_client_may_give_the_request_its_own_id() -> None:
    assert ask("GET", "/health", headers={"x-request-id": "Mine-1 2"}).headers["x-request-id"] == "Mine-1 2"


@pytest.mark.parametrize("value", [b"", b"x" * 129, "ü".encode("latin-1"), b"a\tb"])
def test_an_id_that_is_no_short_printable_text_is_replaced(value: bytes) -> None:
    response = ask("GET", "/health", headers=[(b"x-request-id", value)])
    assert response.headers["x-request-id"].startswith("req_")


def test_requests_without_an_id_get_different_ones() -> None:
    first, second = (ask("GET", "/health").headers["x-request-id"] for _ in range(2))
    assert first != second


def test_every_response_tells_how_long_it_took_unless_it_does_so_itself() -> None:
    assert ask("GET", "/health").headers["server-timing"].startswith("total;dur=")
    assert ask("GET", "/noting").headers["server-timing"] == "own;dur=1"


def test_the_access_log_has_a_line_for_each_request_with_what_was_noted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "universal_core.access"):
        response = ask("GET", "/noting", headers={"x-request-id": "abc"})
    (entry,) = [record for record in caplog.records if record.name == "universal_core.access"]
    assert response.status_code == 200
    assert entry.getMessage() == "GET /noting"
    values = vars(entry)
    assert (values["status"], values["model"], values["request_id"]) == (200, "m", "abc")
    assert values["ms"] >= 0


def test_health_lists_models_and_plugins_and_says_when_the_server_drains() -> None:
    async def main() -> list[httpx.Response]:
        runtime = Runtime(Config())
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(runtime)), base_url="http://test"
        ) as client:
            healthy = await client.get("/health")
            runtime.pool.draining = True
            refused = await client.post("/v1/models/load", json={"model": "echo/a"})
            return [healthy, await client.get("/health"), refused]

    healthy, draining, refused = asyncio.run(main())
    body = healthy.json()
    assert (healthy.status_code, body["status"], body["loaded_models"], body["models"]) == (200, "healthy", [], [])
    assert {"type", "name", "memory_allocated", "memory_reserved"} <= set(body["device_info"])
    assert body["device"] == body["device_info"]["type"]
    states = {plugin["name"]: plugin["state"] for plugin in body["plugins"]}
    assert (states["echo"], states["routes"]) == ("active", "active")
    assert body["version"]
    assert (draining.status_code, draining.json()["status"]) == (503, "draining")
    assert error(refused, 503)["code"] == "draining"
    assert refused.headers["retry-after"] == "5"
    assert "x-should-retry" not in refused.headers


def test_one_of_our_answers_is_plain_json() -> None:
    response = ask("GET", "/v1/models")
    assert response.headers["content-type"] == "application/json"
    assert json.loads(response.content)["object"] == "list"
