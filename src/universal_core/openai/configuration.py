"""POST /v1/config/reload."""

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.hookspecs import hookimpl
from universal_core.http import answer, runtime_of
from universal_core.runtime import Runtime


async def reload(request: Request) -> Response:
    """Read the configuration again and go by it, or tell what is wrong with it and go on as before."""
    return answer(await runtime_of(request).reload())


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint."""
    return [Route("/v1/config/reload", reload, methods=["POST"])]
