"""What is counted and timed as models answer, load, leave and die."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from runtimes import DEADLINE, ask, running, send
from scraping import Scrape, scrape
from universal_core import EmbedRequest, GenerateImageRequest, RequestRecord, UniversalError
from universal_core.batching import note_batch, take_batches
from universal_core.config import Config, MetricsConfig, ModelConfig, PoolConfig
from universal_core.metrics import Labels, Metrics
from universal_core.metrics.labels import MOST_MODELS, OTHER, method_label, route_label
from universal_core.runtime import Runtime
from universal_core.testing import chat_request


def scraped(use: Callable[[Runtime], Awaitable[None]], config: Config | None = None) -> Scrape:
    """Return a scrape of a runtime that something was done with."""

    async def main() -> Scrape:
        async with asyncio.timeout(DEADLINE), running(config) as runtime:
            await use(runtime)
            return await scrape(runtime)

    return asyncio.run(main())


def record(**fields: Any) -> RequestRecord:
    given = {"request_id": "r", "model": "m", "info_id": "m", "task": "chat", "backend": "b", "outcome": "ok"}
    return RequestRecord(**{**given, "seconds": 1.0, **fields})


def test_an_answer_counts_with_its_tokens_and_times() -> None:
    async def use(runtime: Runtime) -> None:
        await ask(runtime, "echo/a", "one two three")
        await ask(runtime, "echo/a", "one two three")

    found = scraped(use)
    of = {"model": "echo/a", "task": "chat", "backend": "echo"}
    assert found.value("requests_total", **of, outcome="ok") == 2
    assert found.value("request_errors_total") == 0
    # The echo backend counts a message as a token that is read.
    assert found.value("input_tokens_total", **of) == 2
    assert found.value("output_tokens_total", **of) == 6
    for name in ("time_to_first_token", "time_per_output_token", "queue_wait", "request_duration"):
        assert found.value(f"{name}_seconds_count", **of) == 2
    assert found.value("request_duration_seconds_sum") >= found.value("time_to_first_token_seconds_sum") > 0


def test_tasks_that_write_no_text_have_no_times_of_tokens() -> None:
    async def use(runtime: Runtime) -> None:
        await send(runtime, "echo/a", "embed", EmbedRequest(input=("a", "b")))
        await send(runtime, "echo/a", "generate_image", GenerateImageRequest(prompt="a hill", n=2, size=(8, 8)))

    found = scraped(use)
    assert found.value("input_tokens_total", task="embed") == 2
    assert found.value("pictures_total", task="generate_image") == 2
    assert found.value("requests_total", outcome="ok") == 2
    assert found.value("time_to_first_token_seconds_count") == 0
    assert found.value("time_per_output_token_seconds_count") == 0


def test_what_fails_is_counted_by_its_code() -> None:
    async def use(runtime: Runtime) -> None:
        with pytest.raises(UniversalError):
            await ask(runtime, "echo/a", "die")
        with pytest.raises(UniversalError):
            await ask(runtime, "echo/fails")

    found = scraped(use)
    assert found.value("requests_total", outcome="error") == 2
    assert found.value("request_errors_total", model="echo/a", code="worker_died") == 1
    assert found.value("request_errors_total", model="echo/fails", code="model_load_failed") == 1
    assert found.value("model_load_failures_total", model="echo/fails", backend="echo", code="model_load_failed") == 1


def test_one_that_is_left_counts_as_cancelled_with_the_time_of_its_first_token() -> None:
    async def use(runtime: Runtime) -> None:
        plan = await runtime.router.plan("echo/a", "chat")
        async with (
            runtime.router.call(plan, "chat", chat_request("repeat 100000", 100_000)) as call,
            aclosing(call.batches()) as batches,
        ):
            await anext(batches)

    found = scraped(use)
    assert found.value("requests_total", outcome="cancelled") == found.value("requests_total") == 1
    assert found.value("time_to_first_token_seconds_count") == 1
    assert found.value("time_per_output_token_seconds_count") == 0


def test_one_that_stops_waiting_for_a_load_counts_as_cancelled() -> None:
    async def use(runtime: Runtime) -> None:
        plan = await runtime.router.plan("echo/late", "chat")
        call = runtime.router.call(plan, "chat", chat_request("hello", 10))
        entering = asyncio.ensure_future(call.__aenter__())
        await asyncio.wait({entering}, timeout=0.01)
        depth = (await scrape(runtime)).value("queue_depth", model="echo/late")
        assert depth == 1
        entering.cancel()
        await asyncio.wait({entering})
        await call.__aexit__()

    found = scraped(use, Config(model={"echo/late": ModelConfig(options={"load_seconds": 5.0})}))
    assert found.value("requests_total", outcome="cancelled") == found.value("requests_total") == 1
    assert found.value("time_to_first_token_seconds_count") == 0


def test_loads_and_causes_of_leaving_are_counted_under_the_name_that_was_asked_for() -> None:
    async def use(runtime: Runtime) -> None:
        await ask(runtime, "nick")
        await runtime.pool.unload("nick", "asked for")
        await ask(runtime, "nick")
        entry = next(iter(runtime.pool.entries.values()))
        assert entry.worker is not None
        entry.worker.kill()
        await entry.worker.closed.wait()
        await entry.worker.exit_reason()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    found = scraped(use, Config(model={"nick": ModelConfig(model="echo/a")}))
    assert found.value("model_load_seconds_count", model="nick", backend="echo") == 2
    assert found.value("model_unloads_total", model="nick", cause="asked") == 1
    assert found.value("model_unloads_total", model="nick", cause="died") == 1
    assert found.value("worker_deaths_total", model="nick") == 1


def test_an_eviction_is_counted_with_its_cause() -> None:
    async def use(runtime: Runtime) -> None:
        await ask(runtime, "echo/first")
        await ask(runtime, "echo/second")

    found = scraped(use, Config(pool=PoolConfig(memory_limit=35_000_000, measurements="")))
    assert found.value("model_unloads_total", model="echo/first", cause="room") == 1
    assert found.labels("model_ready", "model") == {"echo/second"}


def test_batches_count_with_their_rows_even_when_the_model_is_gone() -> None:
    async def use(runtime: Runtime) -> None:
        await asyncio.gather(*(send(runtime, "echo/a", "embed", EmbedRequest(input=(str(n),))) for n in range(8)))
        found = await scrape(runtime)
        assert found.value("batch_rows_total", model="echo/a") == 8
        await send(runtime, "echo/a", "embed", EmbedRequest(input=("last",)))
        await runtime.pool.unload("echo/a", "asked for")

    found = scraped(use)
    assert found.value("batch_rows_total", model="echo/a", backend="echo") == 9
    assert 2 <= found.value("batches_total", model="echo/a", backend="echo") <= 9


def test_gauges_say_how_a_model_stands_and_vanish_with_it() -> None:
    async def use(runtime: Runtime) -> None:
        await ask(runtime, "echo/kept")
        found = await scrape(runtime)
        of = {"model": "echo/kept", "backend": "echo"}
        assert found.value("model_ready", **of, device="cpu") == 1
        assert found.value("model_pinned", **of) == 1
        assert found.value("queue_depth", **of) == found.value("active_requests", **of) == 0
        assert found.value("model_memory_measured_bytes", **of, device="cpu") > 1_000_000
        assert found.value("model_memory_reserved_bytes", **of, device="cpu") > 1_000_000
        assert found.value("memory_limit_bytes", device="cpu") > found.value("memory_free_bytes", device="cpu") > 0
        assert found.value("downloads") == found.value("draining") == 0
        await runtime.pool.unload("echo/kept", "asked for")

    found = scraped(use, Config(model={"echo/kept": ModelConfig(pinned=True)}))
    assert found.value("requests_total", model="echo/kept") == 1
    for name in ("model_ready", "model_pinned", "queue_depth", "active_requests", "model_memory_reserved_bytes"):
        assert found.labels(name, "model") == set()


def test_a_scrape_wakes_no_model_and_keeps_none_awake() -> None:
    async def use(runtime: Runtime) -> None:
        await ask(runtime, "echo/a")
        entry = next(iter(runtime.pool.entries.values()))
        before = entry.used, entry.users
        await scrape(runtime)
        assert (entry.used, entry.users) == before

    assert scraped(use).labels("model_ready", "model") == {"echo/a"}


def test_models_beyond_the_most_share_one_label() -> None:
    async def use(runtime: Runtime) -> None:
        for number in range(MOST_MODELS + 50):
            runtime.plugins.tell("request_finished", record=record(model=f"m{number}"))
        runtime.plugins.tell("request_finished", record=record(model="m0"))

    found = scraped(use)
    labels = found.labels("requests_total", "model")
    assert len(labels) == MOST_MODELS + 1
    assert found.value("requests_total", model=OTHER) == 50
    assert found.value("requests_total", model="m0") == 2


def test_labels_that_clients_could_make_up_are_bounded() -> None:
    assert [Labels(1).of(name) for name in ("a", "a")] == ["a", "a"]
    assert method_label("GET") == "GET"
    assert method_label("BREW") == OTHER
    assert route_label("/v1/models/{model:path}") == "/v1/models/{model}"
    assert route_label("") == OTHER


def test_names_with_quotes_and_line_ends_are_escaped() -> None:
    name = 'a "quoted"\\model\nof two lines'

    async def use(runtime: Runtime) -> None:
        runtime.plugins.tell("request_finished", record=record(model=name))

    assert scraped(use).labels("requests_total", "model") == {name}


def test_each_server_counts_for_itself() -> None:
    async def main() -> None:
        async with running() as one, running() as other:
            assert one.metrics is not None
            assert isinstance(one.metrics.measures.registry, CollectorRegistry)
            one.plugins.tell("request_finished", record=record())
            assert (await scrape(one)).value("requests_total") == 1
            assert (await scrape(other)).value("requests_total") == 0

    asyncio.run(main())


def test_a_server_without_metrics_has_nobody_who_counts() -> None:
    async def main() -> None:
        async with running(Config(metrics=MetricsConfig(enabled=False))) as runtime:
            assert runtime.metrics is None
            listeners = runtime.plugins.manager.get_plugins()
            assert not any(isinstance(listener, Metrics) for listener in listeners)
            assert await ask(runtime, "echo/a", "hello") == "hello"

    asyncio.run(main())


def test_the_process_and_the_build_are_told() -> None:
    async def use(runtime: Runtime) -> None:
        pass

    found = scraped(use)
    assert found.value("build_info") == 1
    assert found.labels("build_info", "python")
    assert {"process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds"} <= found.families.keys()


def test_batches_are_taken_once() -> None:
    take_batches()
    note_batch(3)
    note_batch(5)
    assert take_batches() == (2, 8)
    assert take_batches() == (0, 0)
