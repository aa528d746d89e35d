"""The composition root: what it knows of its models, and what it tells the hub's library."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from runtimes import DEADLINE, ask, running
from universal_core.config import Config, HubConfig, ModelConfig, ModelsConfig, PoolConfig, WorkersConfig
from universal_core.runtime import Runtime, apply_hub


def listen(runtime: Runtime) -> asyncio.Queue[str]:
    """Return a queue of the news that plugins are told."""
    told: asyncio.Queue[str] = asyncio.Queue()
    tell = runtime.plugins.tell

    def tell_us_too(hook: str, **arguments: Any) -> None:
        tell(hook, **arguments)
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
            assert state.tasks == ("chat", "complete", "embed")
            assert state.memory_bytes > 0
            assert state.pid > 0
            assert "echo/a" in runtime.known_models()

    asyncio.run(main())


def test_the_device_is_told_with_its_memory_as_people_read_it() -> None:
    info = Runtime(Config(workers=WorkersConfig(device="cpu"))).device_info()
    assert info["type"] == "cpu"
    assert (info["memory_allocated"], info["memory_reserved"]) == ("0 B", "0 B")
    assert info["memory_total"].endswith("B")


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


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE", "TRANSFORMERS_CACHE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_cache")
def test_the_cache_is_the_configured_one_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSFORMERS_CACHE", "/old")
    monkeypatch.setenv("HF_HUB_CACHE", "/usual")
    apply_hub(Config(hub=HubConfig(cache="~/mine")))
    assert os.environ["HF_HUB_CACHE"] == str(tmp_path / "mine")


@pytest.mark.usefixtures("no_cache")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"TRANSFORMERS_CACHE": "/old"}, "/old"),
        ({"TRANSFORMERS_CACHE": "/old", "HF_HOME": "/home"}, None),
        ({"TRANSFORMERS_CACHE": "/old", "HF_HUB_CACHE": "/usual"}, "/usual"),
    ],
)
def test_the_old_variable_for_the_cache_counts_where_no_newer_one_is_set(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str | None
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "")
    monkeypatch.delenv("HF_HUB_CACHE")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    apply_hub(Config())
    assert os.environ.get("HF_HUB_CACHE") == expected


@pytest.mark.parametrize("offline", [True, False])
def test_the_hub_is_left_alone_where_the_configuration_says_so(monkeypatch: pytest.MonkeyPatch, offline: bool) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    apply_hub(Config(hub=HubConfig(offline=offline)))
    assert os.environ["HF_HUB_OFFLINE"] == ("1" if offline else "0")
