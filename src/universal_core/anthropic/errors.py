"""Anthropic's shape of errors."""

from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Scope

from universal_core.errors import UniversalError
from universal_core.http import data, request_id

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""What Anthropic calls an error with a status; others are the request's fault below 500, and the server's above."""

_DETAILS = {"thread": {"error_code": "thread_unsupported_request"}}
"""What clients look for in the refusal of a field: this one makes them send the whole conversation each time."""


def error_body(error: UniversalError, scope: Scope) -> dict[str, Any]:
    """Return Anthropic's error object."""
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    told: dict[str, Any] = {"type": kind, "message": error.message}
    if error.param in _DETAILS:
        told["details"] = _DETAILS[error.param]
    return {"type": "error", "error": told, "request_id": request_id(HTTPConnection(scope))}


def error_event(error: UniversalError, scope: Scope) -> bytes:
    """Return the event that ends a stream which fails."""
    return data(error_body(error, scope), "error")
