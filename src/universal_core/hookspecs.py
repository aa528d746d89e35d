"""Every question that the core asks its plugins, and every piece of news that it tells them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pluggy

from universal_core.errors import UniversalError
from universal_core.models import Backend, Claim, MemoryEstimate, ModelInfo, ModelRef, Progress
from universal_core.record import RequestRecord

if TYPE_CHECKING:
    import click
    from starlette.routing import BaseRoute

    from universal_core.runtime import Runtime

PROJECT = "universal"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_backends() -> Iterable[Backend]:  # type: ignore[empty-body]
    """Return the backends of this plugin; asked in every process, so it imports nothing heavy."""


@hookspec
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:  # type: ignore[empty-body]
    """Return HTTP or WebSocket routes to add to the server."""


@hookspec
def register_commands() -> Iterable[click.Command]:  # type: ignore[empty-body]
    """Return commands to add to ``universal``."""


@hookspec
def list_models() -> Iterable[ModelInfo]:  # type: ignore[empty-body]
    """Return the models that this source has on this machine, for /v1/models and for near matches."""


@hookspec(firstresult=True)
def expand_name(ref: ModelRef) -> str | None:
    """Return the full name that a short one stands for, such as ``kokoro``, or None for a name that is not yours."""


@hookspec(firstresult=True)
def find_model(ref: ModelRef) -> ModelInfo | None:
    """Return what is cheaply known of the model, or None where this source does not have it.

    Raise ModelNotFound, Forbidden or another UniversalError to end the search with an explanation.
    """


@hookspec(firstresult=True)
def fetch_model(info: ModelInfo, claim: Claim, report: Callable[[Progress], None]) -> ModelInfo | None:
    """Bring the claim's files to this machine and return the info with its ``path``; asked in a process of its own.

    That process ends at once, and without warning, when nobody waits for the files any more: what is half done must
    not look done to ``find_model``. Answer None for a model that another source found.
    """


@hookspec(firstresult=True)
def delete_model(ref: ModelRef, files: tuple[str, ...]) -> Callable[[], int] | None:
    """Return what deletes a model from this machine and tells the bytes freed, None where this source has none of it.

    ``files`` are the names of those that are to go, all of the model where there are none. The function is called when
    nothing uses the model any more. Raise Forbidden for a model that is yours to keep, with what to do instead.
    """


@hookspec
def claim_model(info: ModelInfo) -> Claim | Iterable[Claim] | None:
    """Return an offer to run this model, one for each backend that can, or None; the highest rank of all wins.

    Raise ModelNotFound or another UniversalError where what was asked for is not in the model, with what is.
    """


@hookspec(firstresult=True)
def estimate_memory(info: ModelInfo, claim: Claim, options: Any, device: str) -> MemoryEstimate | None:
    """Return what the model will take with these options on a device, in the place of the claim's own estimate.

    ``options`` are the backend's, as configured. Asked in the HTTP process before every load, so it is cheap.
    """


@hookspec(firstresult=True)
def load_model(info: ModelInfo, claim: Claim, options: Any, report: Callable[[Progress], None]) -> Any | None:
    """Return the loaded model; asked in the worker only, and answered by the core for a Backend with a ``model``."""


@hookspec(firstresult=True)
def run_task(model: Any, task: str, request: Any) -> Any | None:
    """Run one request: return a result, an awaitable of one, or an iterator of events; asked in the worker only."""


@hookspec
def model_loaded(info: ModelInfo, claim: Claim, seconds: float) -> None:
    """Be told that a model is ready, ``seconds`` after its load began; called in the HTTP process."""


@hookspec
def model_unloaded(info: ModelInfo, claim: Claim, reason: str, cause: str) -> None:
    """Be told that a model has gone, and why; called in the HTTP process.

    ``reason`` is for people; ``cause`` is one of ``idle``, ``room``, ``asked``, ``changed``, ``stopping`` and ``died``.
    """


@hookspec
def load_failed(name: str, info: ModelInfo, claim: Claim, error: UniversalError) -> None:
    """Be told that a model, which was asked for by this name, could not be loaded; called in the HTTP process."""


@hookspec
def request_finished(record: RequestRecord) -> None:
    """Be told of every model call that has ended, however it ended; called in the HTTP process, so be quick.

    It comes once a call, never once a token. A request that no model was asked for is none: one for a model that does
    not exist, say.
    """
