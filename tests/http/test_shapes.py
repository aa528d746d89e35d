"""Routes whose errors have a shape of their own."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from universal_core.errors import BadRequest, Draining, UniversalError
from universal_core.http import ShapedRoute, error_response, request_id
from universal_core.http.errors import HANDLERS
from universal_core.http.scope import RequestScope


def shape(error: UniversalError, scope: Any) -> dict[str, Any]:
    return {"wrong": error.message, "id": request_id(Request(scope))}


async def refuse(request: Request) -> Response:
    raise BadRequest("no")


async def break_down(request: Request) -> Response:
    raise ValueError("a defect")


APP = Starlette(
    routes=[
        ShapedRoute("/own", refuse, methods=["POST"], shape=shape),
        ShapedRoute("/broken", break_down, methods=["POST"], shape=shape),
        Route("/other", refuse, methods=["POST"]),
    ],
    middleware=[Middleware(RequestScope, access=False)],
    exception_handlers=HANDLERS,
)


def asked(method: str, path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(APP, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, headers={"x-request-id": "one"})

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("POST", "/own", 400, "no"),
        ("GET", "/own", 405, "GET is not allowed on /own; allowed: POST"),
        ("POST", "/broken", 500, "an internal error happened; the server's log has it under request id one"),
    ],
)
def test_every_error_of_such_a_route_has_its_shape(method: str, path: str, status: int, words: str) -> None:
    response = asked(method, path)
    assert (response.status_code, response.json()) == (status, {"wrong": words, "id": "one"})
    assert response.headers["request-id"] == response.headers["x-request-id"] == "one"


def test_other_routes_have_the_usual_one() -> None:
    response = asked("POST", "/other")
    assert response.json()["error"]["message"] == "no"
    assert "request-id" not in response.headers


def test_without_a_scope_the_shape_is_the_usual_one() -> None:
    response = error_response(Draining("later", retry_after=2.5))
    assert (response.status_code, response.headers["retry-after"]) == (503, "3")
    assert b'"code":"draining"' in bytes(response.body)
