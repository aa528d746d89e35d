"""The core's own load_model and run_task: a Backend's ``model``, and the method that bears the task's name."""

import asyncio
import importlib
import inspect
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import msgspec

from universal_core.batching import Batcher, answering, batching_of
from universal_core.config import SHORTCUTS, ModelConfig, nearest
from universal_core.errors import BadRequest, TaskNotSupported
from universal_core.hookspecs import hookimpl
from universal_core.models import Backend, Claim, ModelInfo, Progress


def options_for(backend: Backend, values: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Return a backend's options as configured, checked against its Options.

    Where the Options have a ``device`` that is not configured, it is the server's. Raises BadRequest.
    """
    known = {field.name for field in msgspec.structs.fields(backend.options)}
    options = {"device": device, **values} if "device" in known and device != "auto" else dict(values)
    try:
        msgspec.convert(options, backend.options)
    except msgspec.ValidationError as error:
        unknown = next((name for name in values if name not in known), None)
        names = (
            nearest(unknown, known) if unknown and known else f"; its options are {', '.join(sorted(known)) or 'none'}"
        )
        raise BadRequest(f"options of backend {backend.name}: {error}{names}".replace("`", ""), param="model") from None
    return options


def configured_options(backend: Backend, entry: ModelConfig) -> dict[str, Any]:
    """Return the options that a model is configured with for a backend, those with fields of their own among them.

    Raises BadRequest where the backend has no option for one of these fields.
    """
    known = {field.name for field in msgspec.structs.fields(backend.options)}
    for field, option in SHORTCUTS.items():
        if option in entry.shortcuts and option not in known:
            raise BadRequest(
                f"{field}: backend {backend.name} has no option {option} that this could set; "
                f"its options are {', '.join(sorted(known)) or 'none'}",
                param="model",
            )
    return entry.options | entry.shortcuts


class ModelThread(Executor):
    """A model's one thread: it loads the model, and runs its plain and its batched methods."""

    def __init__(self) -> None:
        self._pool = self._begin()

    def submit(self, function: Callable[..., Any], /, *args: Any, **keywords: Any) -> Future[Any]:
        """Run a function after those that were submitted before it."""
        return self._pool.submit(function, *args, **keywords)

    def rest(self) -> None:
        """End the thread after what was submitted; the next function gets a new one."""
        ended, self._pool = self._pool, self._begin()
        ended.shutdown(wait=False)

    @staticmethod
    def _begin() -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix="model")


class Execution:
    """Runs any model that is a class with one method per task."""

    def __init__(self, backends: Mapping[str, Backend], thread: Executor) -> None:
        """``thread`` is the model's one thread: plain methods run on it, a job at a time."""
        self._backends = backends
        self._thread = thread
        # A model's requests are prepared one after the other: tokenizers are not promised to read in two threads.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._batchers: dict[str, Batcher] = {}

    @hookimpl(trylast=True)
    def load_model(self, info: ModelInfo, claim: Claim, options: Any, report: Callable[[Progress], None]) -> Any:
        """Import the backend's class and construct it, with what it has further parameters for.

        ``report`` can tell how far it is, and ``memory`` is the estimate that has been set aside.
        """
        module, _, name = self._backends[claim.backend].model.partition(":")
        model = getattr(importlib.import_module(module), name)
        known = inspect.signature(model).parameters
        more = {"report": report, "memory": claim.memory}
        return model(info, options, **{name: value for name, value in more.items() if name in known})

    @hookimpl(trylast=True)
    def run_task(self, model: Any, task: str, request: Any) -> Any:
        """Call the task's method; a batched one gets the request together with whatever else waits."""
        method = method_of(model, task)
        batching = batching_of(method)
        if batching is None:
            return method(request)
        if task not in self._batchers:
            self._batchers[task] = Batcher(answering(method), batching, self._on_thread, self._on_reader)
        return self._batchers[task](request)

    async def _on_thread(self, function: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def _on_reader(self, function: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._reader, function)


def method_of(model: Any, task: str) -> Callable[[Any], Any]:
    """Return the method that bears the task's name."""
    method = getattr(model, task, None)
    if task.startswith("_") or not callable(method):
        raise TaskNotSupported(f"{type(model).__name__} has no method for the task {task!r}")
    return method  # type: ignore[no-any-return]


def runs_apart(model: Any, task: str) -> bool:
    """Whether a task's method never computes on the model's thread: an async one, whose engine has its own."""
    return runs_on_loop(model, task) and batching_of(getattr(model, task)) is None


def runs_on_loop(model: Any, task: str) -> bool:
    """Whether a task's method is called on the event loop (async, batched) rather than on the model's thread."""
    method = getattr(model, task, None)
    return inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method) or batching_of(method) is not None
