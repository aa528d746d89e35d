"""What surrounds every request: its id, its time, and its line in the log."""

import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from universal_core.http.errors import defect, error_response
from universal_core.http.shapes import SHAPE
from universal_core.metrics import Metrics

log = logging.getLogger("universal_core.access")

ID = "universal.request_id"
NOTES = "universal.notes"
NOT_ANSWERED = 499
_LONGEST_ID = 128
_TRACE = ("traceparent", "tracestate")


class RequestScope:
    """ASGI middleware: gives each request an id, measures it, and logs it when it is over, where ``access`` says so."""

    def __init__(self, app: ASGIApp, access: Callable[[], bool] = lambda: True, metrics: Metrics | None = None) -> None:
        self._app = app
        self._access = access
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with ``x-request-id`` and ``server-timing`` on the response."""
        if scope["type"] == "websocket":
            scope[ID] = _request_id(scope)
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        number = scope[ID] = _request_id(scope)
        notes: dict[str, Any] = {}
        scope[NOTES] = notes
        if self._metrics is not None:
            self._metrics.request_began()
        status = NOT_ANSWERED

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.setdefault("headers", [])
                headers.append((b"x-request-id", number.encode("latin-1")))
                if SHAPE in scope:
                    # Another API's clients know the id by another name.
                    headers.append((b"request-id", number.encode("latin-1")))
                if not any(name == b"server-timing" for name, _ in headers):
                    headers.append((b"server-timing", b"total;dur=%.1f" % ((time.perf_counter() - began) * 1000)))
            await send(message)

        try:
            await self._app(scope, receive, tell)
        except Exception:
            if status == NOT_ANSWERED:
                await error_response(defect(number), scope)(scope, receive, tell)
            raise
        finally:
            status = NOT_ANSWERED if notes.pop("aborted", False) else status
            if self._metrics is not None:
                self._metrics.request_ended(scope, status)
            if self._access():
                self._log(scope, status, time.perf_counter() - began, notes)

    @staticmethod
    def _log(scope: Scope, status: int, seconds: float, notes: dict[str, Any]) -> None:
        client = scope.get("client") or ("-",)
        extra = {
            "status": status,
            "ms": round(seconds * 1000, 1),
            **notes,
            "client": client[0],
            "request_id": scope[ID],
        }
        log.info("%s %s", scope["method"], scope["path"], extra=extra)


def _request_id(scope: Scope) -> str:
    """Return the client's own id, where it is short and printable, or a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and 0 < len(value) <= _LONGEST_ID:
            text: str = value.decode("latin-1")
            if text.isascii() and text.isprintable():
                return text
    return f"req_{uuid.uuid4().hex}"


def request_id(request: HTTPConnection) -> str:
    """Return the id of a request, or of a WebSocket connection."""
    found: str = request.scope[ID]
    return found


def note(request: Request, **values: Any) -> None:
    """Add values to the request's line in the access log."""
    request.scope[NOTES].update(values)


def trace_headers(request: HTTPConnection) -> dict[str, str]:
    """Return the headers that say which trace a request is a part of, by the W3C's Trace Context."""
    return {name: value for name in _TRACE if (value := request.headers.get(name))}


def caller(request: HTTPConnection) -> str:
    """Return who is asking, for fair turns: the API key, or else the address."""
    key = request.headers.get("authorization") or request.headers.get("x-api-key")
    return key or (request.client.host if request.client else "")
