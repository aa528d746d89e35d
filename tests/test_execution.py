"""The core's own way of running models: a class, constructed with options, with one method per task."""

import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from universal_core import Backend, BadRequest, Claim, ModelInfo, ModelRef, Progress, batched
from universal_core.config import ModelConfig
from universal_core.errors import TaskNotSupported
from universal_core.execution import (
    Execution,
    ModelThread,
    configured_options,
    method_of,
    options_for,
    runs_apart,
    runs_on_loop,
)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options with a device."""

    device: str = "auto"
    layers: Annotated[int, Meta(ge=0)] = 3


BACKEND = Backend(name="b", model=f"{__name__}:Model", tasks=("chat",), options=Options)
WITHOUT = Backend(name="plain", model=f"{__name__}:Model", tasks=("chat",))


class Model:
    """One method of each kind."""

    def __init__(self, info: ModelInfo, options: Options) -> None:
        self.info, self.options = info, options

    async def coroutine(self, request: str) -> str:
        return request

    async def generator(self, request: str) -> AsyncIterator[str]:
        yield request

    @batched(cost=len, budget=1)
    def many(self, requests: list[str]) -> list[str]:
        return requests

    def plain(self, request: str) -> str:
        return request


INFO = ModelInfo(id="m", ref=ModelRef.parse("m"), source="test")


def test_options_are_the_configured_ones() -> None:
    assert options_for(BACKEND, {"layers": 5}, "auto") == {"layers": 5}


def test_the_servers_device_is_the_default_of_a_backend_that_has_one() -> None:
    assert options_for(BACKEND, {}, "cuda:1") == {"device": "cuda:1"}
    assert options_for(BACKEND, {"device": "cpu"}, "cuda:1") == {"device": "cpu"}
    assert options_for(WITHOUT, {}, "cuda:1") == {}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"layer": 5}, r"unknown field layer; did you mean layers\?"),
        ({"zzz": 5}, "unknown field zzz; known are device, layers"),
        ({"layers": "five"}, "Expected int.*its options are device, layers"),
        ({"layers": -1}, ">= 0.*its options are device, layers"),
    ],
)
def test_a_wrong_option_is_refused_with_the_ones_there_are(values: dict[str, object], words: str) -> None:
    with pytest.raises(BadRequest, match=f"options of backend b: .*{words}"):
        options_for(BACKEND, values, "auto")


def test_fields_of_a_model_become_the_options_of_its_backend() -> None:
    entry = ModelConfig(device="cpu", options={"layers": 5})
    assert configured_options(BACKEND, entry) == {"layers": 5, "device": "cpu"}


def test_a_field_that_the_backend_has_no_option_for_is_refused_with_those_that_it_has() -> None:
    words = "context: backend .* has no option n_ctx that this could set; its options are .*device.*layers"
    with pytest.raises(BadRequest, match=words):
        configured_options(BACKEND, ModelConfig(context=5))


def test_a_backend_without_options_says_so() -> None:
    with pytest.raises(BadRequest, match="its options are none"):
        options_for(WITHOUT, {"layers": 1}, "auto")


def test_a_model_is_constructed_from_its_import_path() -> None:
    with ThreadPoolExecutor(1) as thread:
        claim = Claim(backend="b", tasks=("chat",), reason="test")
        model = Execution({"b": BACKEND}, thread).load_model(INFO, claim, Options(layers=7), print)
    assert type(model).__name__ == "Model"
    assert (model.info, model.options) == (INFO, Options(layers=7))


class Slow:
    def __init__(self, info: ModelInfo, options: Options, report: Callable[[Progress], None]) -> None:
        report(Progress("reading", 0.5))


def test_a_model_can_tell_how_far_its_load_is() -> None:
    backend = msgspec.structs.replace(BACKEND, model=f"{__name__}:Slow")
    reports: list[Progress] = []
    with ThreadPoolExecutor(1) as thread:
        claim = Claim(backend="b", tasks=("chat",), reason="test")
        Execution({"b": backend}, thread).load_model(INFO, claim, Options(), reports.append)
    assert reports == [Progress("reading", 0.5)]


def test_async_and_batched_methods_run_on_the_loop_and_plain_ones_on_the_thread() -> None:
    model = Model(INFO, Options())
    assert [runs_on_loop(model, task) for task in ("coroutine", "generator", "many", "plain")] == [
        True,
        True,
        True,
        False,
    ]


def test_only_async_methods_never_compute_on_the_models_thread() -> None:
    model = Model(INFO, Options())
    assert [runs_apart(model, task) for task in ("coroutine", "generator", "many", "plain", "missing")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_models_thread_ends_when_it_rests_and_begins_again_when_it_is_needed() -> None:
    thread = ModelThread()
    first = thread.submit(threading.current_thread).result()
    assert thread.submit(threading.current_thread).result() is first
    thread.rest()
    first.join()
    second = thread.submit(threading.current_thread).result()
    assert second is not first
    thread.rest()
    second.join()


def test_a_method_is_found_by_the_tasks_name() -> None:
    assert method_of(Model(INFO, Options()), "plain")("x") == "x"
    with pytest.raises(TaskNotSupported, match="Model has no method for the task 'sing'"):
        method_of(Model(INFO, Options()), "sing")
