"""Worker processes are told how many of them are busy, through a real runtime."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager

import psutil
import pytest

from installed import install, on_path
from runtimes import DEADLINE, ask, running
from universal_core.config import Config, WorkersConfig
from universal_core.messages import Text
from universal_core.runtime import Runtime
from universal_core.testing import chat_request

PLUGIN = """
import asyncio, os
from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, hookimpl
from universal_core.cores import cores

API_VERSION = 1

class Model:
    def __init__(self, info, options):
        cores().most = 8
        cores().divide(1)

    async def chat(self, request):
        if "spin" in request.messages[-1].text:
            yield os.environ.get("GOMP_SPINCOUNT", "as it likes")
            return
        while True:
            yield str(cores()._share)
            await asyncio.sleep(0.002)

@hookimpl
def register_backends():
    return [Backend(name="sharing", model="universal_sharing:Model", tasks=("chat",))]

@hookimpl
def find_model(ref):
    if ref.name.startswith("sharing/"):
        return ModelInfo(id=ref.text, ref=ref, source="sharing", path="")

@hookimpl
def claim_model(info):
    if info.source == "sharing":
        return Claim(backend="sharing", tasks=("chat",), reason="test", memory=MemoryEstimate(weights=1000), slots=4)
"""


@pytest.fixture(scope="module", autouse=True)
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("sharing")
    install(folder, "sharing", PLUGIN)
    with on_path(folder):
        yield


@asynccontextmanager
async def shares(runtime: Runtime, model: str) -> AsyncIterator[AsyncIterator[str]]:
    """Keep a model busy; give the share of the cores that it tells of, again and again."""
    plan = await runtime.router.plan(model, "chat")
    async with runtime.router.call(plan, "chat", chat_request("hello", 8)) as call, aclosing(call.batches()) as batches:

        async def told() -> AsyncIterator[str]:
            async for batch in batches:
                for message in batch:
                    if isinstance(message, Text):
                        yield message.text

        async with aclosing(told()) as found:
            yield found


async def until(told: AsyncIterator[str], share: str) -> None:
    async for one in told:
        if one == share:
            return


def test_busy_workers_share_the_cores_and_have_them_all_again_when_the_others_are_done() -> None:
    async def main() -> None:
        async with asyncio.timeout(DEADLINE), running() as runtime, shares(runtime, "sharing/one") as one:
            assert await anext(one) == "8"
            async with shares(runtime, "sharing/two") as two, shares(runtime, "sharing/three") as three:
                # Told before its first job, which began when two were busy already.
                assert await anext(three) == "2"
                for told in (one, two, three):
                    await until(told, "2")
            await until(one, "8")

    asyncio.run(main())
    assert psutil.Process().children() == []


@pytest.mark.parametrize("fork", [True, False], ids=["forked", "spawned"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "as it likes")],
    ids=["nothing", "spins", "policy"],
)
def test_threads_that_wait_spin_briefly_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, fork: bool, given: dict[str, str], expected: str
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    async def main() -> str:
        config = Config(workers=WorkersConfig(fork=fork))
        async with asyncio.timeout(DEADLINE), running(config) as runtime:
            return await ask(runtime, "sharing/one", "spin")

    assert asyncio.run(main()) == expected
