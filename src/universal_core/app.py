"""The Starlette application of a Runtime."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from universal_core.http.defaults import bodies_of, check_defaults
from universal_core.http.errors import HANDLERS
from universal_core.http.scope import RequestScope
from universal_core.runtime import Runtime


def create_app(runtime: Runtime) -> Starlette:
    """Return the application: the routes of all plugins over a runtime, which starts and stops with it."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        await runtime.start()
        try:
            yield
        finally:
            await runtime.stop()

    found = routes(runtime)
    runtime.require(partial(check_defaults, bodies_of(found)))
    app = Starlette(
        routes=found,
        lifespan=lifespan,
        middleware=[Middleware(RequestScope, access=lambda: runtime.config.logging.access, metrics=runtime.metrics)],
        exception_handlers=HANDLERS,
    )
    app.state.runtime = runtime
    return app


def routes(runtime: Runtime) -> list[BaseRoute]:
    """Return every plugin's routes; of two for one path the first plugin's counts."""
    return [route for _, found in runtime.plugins.ask_each("register_routes", runtime=runtime) for route in found or ()]
