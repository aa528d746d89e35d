"""GET /health."""

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.hookspecs import hookimpl
from universal_core.http import answer, runtime_of
from universal_core.openai.progress import told
from universal_core.runtime import Runtime


async def health(request: Request) -> Response:
    """Tell how the server is: 200 while it serves, 503 while it drains."""
    runtime = runtime_of(request)
    models, devices = runtime.models(), runtime.devices()
    response = answer(
        {
            "status": "draining" if runtime.pool.draining else "healthy",
            "device": devices[0].type,
            "device_info": devices[0].in_words(),
            "devices": devices,
            "loaded_models": [model.id for model in models if model.state == "ready"],
            "models": models,
            "downloads": [told(download) for download in runtime.pool.downloads.active],
            "plugins": runtime.plugins.installed,
            "version": runtime.version,
        }
    )
    response.status_code = 503 if runtime.pool.draining else 200
    return response


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint."""
    return [Route("/health", health, methods=["GET"])]
