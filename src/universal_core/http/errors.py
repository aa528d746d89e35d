"""Turns whatever goes wrong into OpenAI's error shape, or that of the API whose route it is."""

import math

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from universal_core.errors import (
    BadRequest,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    UniversalError,
)
from universal_core.http.shapes import shaped

_BY_STATUS: dict[int, type[UniversalError]] = {
    400: BadRequest,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
}


def error_response(error: UniversalError, scope: Scope | None = None) -> Response:
    """Return the response that tells of an error, with the headers that steer a client's retries.

    It has the shape of the API that the request of this scope is for.
    """
    headers = {} if error.retryable else {"x-should-retry": "false"}
    if error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
    return Response(msgspec.json.encode(shaped(error, scope)), error.status, headers, media_type="application/json")


async def universal_error(request: Request, error: Exception) -> Response:
    """Answer an error of ours."""
    assert isinstance(error, UniversalError)
    return error_response(error, request.scope)


async def http_error(request: Request, error: Exception) -> Response:
    """Answer what Starlette itself refuses: an unknown path, a wrong method."""
    assert isinstance(error, HTTPException)
    message = str(error.detail)
    if error.status_code == 404:
        message = f"there is no {request.url.path} here; the reference of endpoints is in the documentation"
    elif error.status_code == 405:
        message = (
            f"{request.method} is not allowed on {request.url.path}; allowed: {(error.headers or {}).get('Allow', '?')}"
        )
    response = error_response(_BY_STATUS.get(error.status_code, InternalError)(message), request.scope)
    response.headers.update(error.headers or {})
    response.status_code = error.status_code
    return response


def defect(request_id: str) -> InternalError:
    """Return what a client is told of a defect: no stack, but the id under which the log has it."""
    return InternalError(f"an internal error happened; the server's log has it under request id {request_id}")


HANDLERS = {UniversalError: universal_error, HTTPException: http_error}
"""For Starlette's ``exception_handlers``."""
