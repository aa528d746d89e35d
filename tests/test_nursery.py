"""The nursery: imports are done once, workers are forked from it, and it leaves when it is of no more use."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from installed import install, on_path
from runtimes import DEADLINE, ask, running
from universal_core.config import Config, LoggingConfig, WorkersConfig
from universal_core.runtime import Runtime

# "heavy/NAME" tells what was imported before its process began, and who forked it.
PLUGIN = """
import os, sys
from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, hookimpl

API_VERSION = 1
KINDS = {"heavy": ("heavy_library",), "threaded": ("threaded_library",), "absent": ("a_library_that_is_not_here",)}

class Model:
    def __init__(self, info, options):
        self.preloaded = "heavy_library" in sys.modules

    def chat(self, request):
        import heavy_library
        yield f"{self.preloaded} {heavy_library.imported_by} {os.getpid()} {os.getppid()}"

@hookimpl
def register_backends():
    for name, preload in KINDS.items():
        yield Backend(name=name, model="universal_nursling:Model", tasks=("chat",), preload=preload)

@hookimpl
def find_model(ref):
    if ref.name.partition("/")[0] in KINDS:
        return ModelInfo(id=ref.text, ref=ref, source="nursling", path="")

@hookimpl
def claim_model(info):
    if info.source == "nursling":
        kind = info.id.partition("/")[0]
        return Claim(backend=kind, tasks=("chat",), reason="test", memory=MemoryEstimate(weights=1000))
"""
HEAVY = "import os\nimported_by = os.getpid()\n"
THREADED = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"


def nurseries(runtime: Runtime) -> tuple[int, ...]:
    """Return the processes of a runtime's nurseries."""
    return tuple(nursery.process.pid for nursery in runtime.pool.launcher._nurseries.values())


@pytest.fixture(scope="module", autouse=True)
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("nursling")
    install(folder, "nursling", PLUGIN)
    (folder / "heavy_library.py").write_text(HEAVY)
    (folder / "threaded_library.py").write_text(THREADED)
    with on_path(folder):
        yield folder


def run(use: Callable[[Runtime], Coroutine[Any, Any, None]], config: Config | None = None) -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE), running(config) as runtime:
            await use(runtime)

    asyncio.run(main())
    assert psutil.Process().children() == []


def test_the_second_model_of_a_kind_is_forked_with_its_imports_done() -> None:
    async def use(runtime: Runtime) -> None:
        told = [(await ask(runtime, f"heavy/{name}")).split() for name in "ab"]
        (nursery,) = nurseries(runtime)
        for preloaded, importer, _, parent in told:
            assert preloaded == "True"
            assert importer == parent == str(nursery)
        assert told[0][2] != told[1][2]

    run(use)


def test_another_way_to_log_has_a_nursery_of_its_own() -> None:
    async def use(runtime: Runtime) -> None:
        await ask(runtime, "heavy/a")
        runtime.pool.configure(Config(logging=LoggingConfig(level="debug")))
        await ask(runtime, "heavy/b")
        assert len(nurseries(runtime)) == 2

    run(use)


def test_each_set_of_imports_has_a_nursery_of_its_own() -> None:
    async def use(runtime: Runtime) -> None:
        await asyncio.gather(ask(runtime, "heavy/a"), ask(runtime, "echo/a"), ask(runtime, "heavy/b"))
        assert len(nurseries(runtime)) == 2

    run(use)


def test_a_library_that_starts_threads_when_imported_gets_fresh_interpreters() -> None:
    async def use(runtime: Runtime) -> None:
        preloaded, importer, worker, parent = (await ask(runtime, "threaded/a")).split()
        assert (preloaded, importer) == ("False", worker)
        assert int(parent) == psutil.Process().pid

    run(use)


def test_a_library_that_cannot_be_imported_beforehand_leaves_the_load_to_say_so(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def use(runtime: Runtime) -> None:
        assert (await ask(runtime, "absent/a")).startswith("False ")

    run(use)
    assert "preloading a_library_that_is_not_here failed" in capfd.readouterr().err


def test_a_nursery_without_workers_ends_after_a_while() -> None:
    async def use(runtime: Runtime) -> None:
        await ask(runtime, "heavy/a")
        await runtime.pool.sweep()
        (nursery,) = nurseries(runtime)
        await runtime.pool.unload("heavy/a", "asked for")
        await runtime.pool.sweep()
        assert nurseries(runtime) == ()
        assert not psutil.pid_exists(nursery)
        assert (await ask(runtime, "heavy/a")).startswith("True ")

    run(use, Config(workers=WorkersConfig(nursery_idle=1e-9)))


def test_whoever_waits_is_told_what_takes_time() -> None:
    async def use(runtime: Runtime) -> None:
        seen: list[str] = []
        plan = await runtime.router.plan("heavy/a")
        loading = asyncio.ensure_future(runtime.pool.load(plan, lambda entry: seen.append(str(entry.progress))))
        while not loading.done():
            seen += [str(entry.progress) for entry in runtime.pool.entries.values()]
            await asyncio.wait({loading}, timeout=0.001)
        assert "importing heavy_library" in seen

    run(use)
