"""The composition root: what it knows of its models, and what it tells the hub's library."""

import asyncio
from typing import Any

import pytest

from runtimes import DEADLINE, ask, running
from universal_core.config import Config, ModelConfig, ModelsConfig, PoolConfig, WorkersConfig
from universal_core.runtime import Runtime
from universal_core.testing.echo import ECHO


def listen(runtime: Runtime) -> asyncio.Queue[str]:
    """Return a queue of the news of models that came and went."""
    told: asyncio.Queue[str] = asyncio.Queue()
    tell = runtime.plugins.tell

    def tell_us_too(hook: str, **arguments: Any) -> None:
        tell(hook, **arguments)
        if hook in ("model_loaded", "model_unloaded"):
            told.put_nowait(hook)

    runtime.plugins.tell = tell_us_too  # type: ignore[method-assign]
    return told


def test_models_are_preloaded_and_one_that_fails_keeps_no_other_from_it(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        config = Config(models=ModelsConfig(preload=("echo/fail", "nowhere/none", "echo/a")))
        async with asyncio.timeout(DEADLINE), running(config) as runtime:
            told = listen(runtime)
            await runtime.start()
            assert await told.get() == "model_loaded"
            assert [model.id for model in runtime.models()] == ["echo/a"]

    asyncio.run(main())
    assert "preloading echo/fail failed" in caplog.text
    assert "preloading nowhere/none failed" in caplog.text


def test_the_state_of_a_model_is_what_health_shows() -> None:
    async def main() -> None:
        config = Config(model={"echo/a": ModelConfig(pinned=True)})
        async with running(config) as runtime:
            await ask(runtime, "echo/a")
            (state,) = runtime.models()
            assert (state.id, state.task, state.backend, state.state) == ("echo/a", "chat", "echo", "ready")
            assert (state.active, state.queued, state.pinned) == (0, 0, True)
            assert state.tasks == ECHO.tasks
            assert state.memory_bytes > 0
            assert state.pid > 0
            assert "echo/a" in runtime.known_models()

    asyncio.run(main())


def test_devices_are_told_with_what_models_may_take_there_and_what_they_do() -> None:
    async def main() -> None:
        config = Config(workers=WorkersConfig(device="cpu"), pool=PoolConfig(memory_limit=500_000_000))
        async with asyncio.timeout(DEADLINE), running(config) as runtime:
            await ask(runtime, "echo/a")
            (found,) = runtime.devices()
            (state,) = runtime.models()
            assert (found.type, found.limit_bytes) == ("cpu", 500_000_000)
            assert found.measured_bytes == state.memory_bytes > 0
            assert found.reserved_bytes == state.reserved_bytes >= state.memory_bytes
            words = found.in_words()
            assert words["memory_allocated"].endswith("MB")
            assert words["memory_total"].endswith("B")

    asyncio.run(main())


def test_idle_models_are_looked_for_while_it_runs() -> None:
    async def main() -> None:
        pool = PoolConfig(unload_timeout=0.01, cleanup_interval=0.01)
        async with asyncio.timeout(DEADLINE), running(Config(pool=pool)) as runtime:
            told = listen(runtime)
            await runtime.start()
            await ask(runtime, "echo/a")
            assert [await told.get(), await told.get()] == ["model_loaded", "model_unloaded"]
            assert runtime.models() == []

    asyncio.run(main())


def test_stopping_twice_or_before_starting_does_no_harm() -> None:
    async def main() -> None:
        runtime = Runtime(Config())
        await runtime.stop()
        await runtime.stop()

    asyncio.run(main())
