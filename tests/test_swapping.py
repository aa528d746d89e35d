"""Models in real processes that fit only one at a time: they take turns, never overcommit, and give memory back."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from installed import install, on_path
from runtimes import DEADLINE, ask, running
from universal_core.config import Config, PoolConfig
from universal_core.errors import InsufficientMemory
from universal_core.runtime import Runtime

MODEL = 120_000_000
LIMIT = 250_000_000

PLUGIN = f"""
import asyncio
import json
from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, hookimpl

API_VERSION = 1

class Model:
    def __init__(self, info, options):
        self.weights = bytearray(range(256)) * ({MODEL} // 256)

    async def chat(self, request):
        yield str(len(self.weights))
        await asyncio.sleep(0.01)

@hookimpl
def register_backends():
    return [Backend(name="heavy", model="universal_heavy:Model", tasks=("chat",))]

@hookimpl
def find_model(ref):
    if ref.name.startswith("heavy/"):
        return ModelInfo(id=ref.text, ref=ref, source="heavy", path="")

@hookimpl
def claim_model(info):
    if info.source == "heavy":
        return Claim(backend="heavy", tasks=("chat",), reason="test", slots=2)

@hookimpl
def estimate_memory(info, claim, options, device):
    if info.source == "heavy":
        return MemoryEstimate(weights={MODEL}, host=60_000_000)
"""


@pytest.fixture(scope="module", autouse=True)
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("heavy")
    install(folder, "heavy", PLUGIN)
    with on_path(folder):
        yield


def taken() -> int:
    """Return the bytes that all workers together have for themselves now, those that are on their way out too."""
    together = 0
    for process in psutil.Process().children(recursive=True):
        try:
            together += process.memory_full_info().uss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return together


async def watched(runtime: Runtime, most: list[int]) -> None:
    while True:
        most[0] = max(most[0], taken())
        assert sum(entry.counted("cpu") for entry in runtime.pool.everyone()) <= LIMIT
        await asyncio.sleep(0.005)


def test_models_that_do_not_fit_together_take_turns_and_never_overcommit() -> None:
    async def main() -> None:
        config = Config(pool=PoolConfig(memory_limit=LIMIT, takeover=0.1))
        async with asyncio.timeout(DEADLINE), running(config) as runtime:
            most = [0]
            watcher = asyncio.ensure_future(watched(runtime, most))

            async def client(name: str) -> None:
                for _ in range(4):
                    assert await ask(runtime, name) == str(MODEL // 256 * 256)

            await asyncio.gather(*(client(f"heavy/{name}") for name in "abab"))
            for name in "abab":
                await client(f"heavy/{name}")
            watcher.cancel()
            with pytest.raises(asyncio.CancelledError):
                await watcher
            assert MODEL < most[0] < LIMIT

    asyncio.run(main())
    assert psutil.Process().children() == []


def test_an_unloaded_model_gives_its_memory_back() -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE), running() as runtime:
            await ask(runtime, "heavy/a")
            assert taken() > MODEL
            await runtime.pool.unload("heavy/a", "asked for")
            assert taken() < MODEL / 2

    asyncio.run(main())


def test_what_could_never_fit_is_refused_before_anything_is_unloaded() -> None:
    async def main() -> None:
        config = Config(pool=PoolConfig(memory_limit=MODEL))
        async with running(config) as runtime:
            with pytest.raises(InsufficientMemory, match=r"weights 120.0 MB, process 60.0 MB"):
                await ask(runtime, "heavy/a")
            assert taken() < MODEL / 2

    asyncio.run(main())


def test_what_a_model_took_is_known_after_its_first_job(tmp_path: Path) -> None:
    async def main() -> None:
        kept = tmp_path / "measured.json"
        config = Config(pool=PoolConfig(measurements=str(kept)))
        async with asyncio.timeout(DEADLINE), running(config) as runtime:
            await ask(runtime, "heavy/a")
            while not kept.exists():
                await runtime.pool.room.news(0.01)
        assert MODEL < json.loads(kept.read_bytes()).popitem()[1]["system"] < 2 * MODEL

    asyncio.run(main())
