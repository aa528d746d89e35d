"""GET /metrics, for Prometheus."""

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.hookspecs import hookimpl
from universal_core.http import runtime_of
from universal_core.runtime import Runtime


async def metrics(request: Request) -> Response:
    """Tell everything that is counted, in the format that is asked for; it loads and wakes no model."""
    found = runtime_of(request).metrics
    assert found is not None
    text, content_type = await found.exposition(request.headers.get("accept", ""))
    return Response(text, headers={"content-type": content_type})


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint, where metrics are wanted."""
    return [Route("/metrics", metrics, methods=["GET"])] if runtime.metrics is not None else []
