"""Worker processes: what runs in them, how they are stopped, and what happens to one that will not stop."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from installed import install, on_path
from runtimes import DEADLINE, ask, running, send
from universal_core import EmbedRequest, EmbedResult
from universal_core.config import Config, ModelConfig, PoolConfig, WorkersConfig
from universal_core.entry import Entry
from universal_core.errors import DeadlineExceeded, WorkerDied
from universal_core.frames import WINDOW, Cancel, Emitted, Ended, Grant, pack
from universal_core.messages import Text
from universal_core.process import Stream
from universal_core.runtime import Runtime
from universal_core.testing import chat_request

STUBBORN = """
import os, time
from pathlib import Path
import msgspec
from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, hookimpl

API_VERSION = 1

class Options(msgspec.Struct, frozen=True):
    mark: str = ""
    slow_close: bool = False

class Model:
    def __init__(self, info, options):
        self.options = options

    def chat(self, request):
        try:
            yield "begun "
        finally:
            # Closed at the yield or resumed after it: either way it goes on.
            while "for ever" in request.messages[-1].text:
                time.sleep(0.01)
        yield f"in {os.getpid()}"

    def close(self):
        while self.options.slow_close:
            time.sleep(0.01)
        if self.options.mark:
            Path(self.options.mark).write_text("closed in order")

@hookimpl
def register_backends():
    return [Backend(name="stubborn", model="universal_stubborn:Model", tasks=("chat",), options=Options)]

@hookimpl
def find_model(ref):
    if ref.name.startswith("stubborn/"):
        return ModelInfo(id=ref.text, ref=ref, source="stubborn", path="")

@hookimpl
def claim_model(info):
    if info.source == "stubborn":
        return Claim(backend="stubborn", tasks=("chat",), reason="test", memory=MemoryEstimate(weights=1000))
"""


@pytest.fixture(scope="module", autouse=True)
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("stubborn")
    install(folder, "stubborn", STUBBORN)
    with on_path(folder):
        yield


def run(use: Callable[[Runtime], Coroutine[Any, Any, Any]], config: Config | None = None) -> Any:
    """Use a runtime, and see that it leaves no process behind."""

    async def main() -> Any:
        async with asyncio.timeout(DEADLINE), running(config) as runtime:
            return await use(runtime)

    found = asyncio.run(main())
    assert psutil.Process().children() == []
    return found


def entry_of(runtime: Runtime) -> Entry:
    (entry,) = runtime.pool.entries.values()
    return entry


def configured(name: str, **options: Any) -> dict[str, ModelConfig]:
    return {name: ModelConfig(options=options)}


def test_a_worker_is_a_process_group_of_its_own() -> None:
    async def use(runtime: Runtime) -> None:
        text = await ask(runtime, "stubborn/a")
        worker = entry_of(runtime).worker
        assert worker is not None
        assert text == f"begun in {worker.pid}"
        assert os.getpgid(worker.pid) == worker.pid != os.getpgid(0)

    run(use)


@pytest.mark.parametrize("fork", [True, False])
def test_a_worker_that_is_asked_to_stop_closes_its_model(tmp_path: Path, fork: bool) -> None:
    mark = tmp_path / "mark"

    async def use(runtime: Runtime) -> None:
        await ask(runtime, "stubborn/a")
        await runtime.pool.unload("stubborn/a", "asked for")

    run(use, Config(workers=WorkersConfig(fork=fork), model=configured("stubborn/a", mark=str(mark))))
    assert mark.read_text() == "closed in order"


@pytest.mark.parametrize("name", ["echo/slow", "stubborn/a"])
def test_an_answer_that_was_being_written_when_its_model_is_unloaded_ends_in_an_error(name: str) -> None:
    async def use(runtime: Runtime) -> None:
        plan = await runtime.router.plan(name, "chat")
        async with runtime.router.call(plan, "chat", chat_request("for ever " * 1000, 1000)) as call:
            batches = call.batches()
            await anext(batches)
            unloading = asyncio.ensure_future(runtime.pool.unload(name, "asked for"))
            with pytest.raises(WorkerDied, match="safe to retry"):
                async for _ in batches:
                    pass
            await unloading

    run(use, Config(workers=WorkersConfig(stop_grace=0.2), model=configured("echo/slow", delay=0.02)))


def test_a_worker_that_does_not_stop_is_killed_after_the_grace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(runtime: Runtime) -> int:
        await ask(runtime, "stubborn/a")
        worker = entry_of(runtime).worker
        assert worker is not None
        await runtime.pool.unload("stubborn/a", "asked for")
        return worker.pid

    pid = run(use, Config(workers=WorkersConfig(stop_grace=0.2), model=configured("stubborn/a", slow_close=True)))
    assert not psutil.pid_exists(pid)
    assert f"worker {pid} did not stop within" in caplog.text


def test_a_model_that_goes_on_with_a_cancelled_job_is_killed_and_loaded_again(caplog: pytest.LogCaptureFixture) -> None:
    async def use(runtime: Runtime) -> None:
        plan = await runtime.router.plan("stubborn/a", "chat")
        async with runtime.router.call(plan, "chat", chat_request("for ever", 8)) as call:
            batches = call.batches()
            await anext(batches)
            entry = entry_of(runtime)
            await batches.aclose()
        assert entry.worker is not None
        await entry.worker.closed.wait()
        assert (await ask(runtime, "stubborn/a")).startswith("begun in ")

    run(use, Config(workers=WorkersConfig(hang_timeout=0.2)))
    assert "stubborn/a does not stop a cancelled job and is killed" in caplog.text


def slow(**pool: Any) -> Config:
    return Config(model=configured("echo/slow", delay=0.02), pool=PoolConfig(**pool))


def test_an_answer_that_takes_too_long_is_ended_and_its_slot_is_free_again() -> None:
    async def use(runtime: Runtime) -> None:
        with pytest.raises(DeadlineExceeded, match="request_timeout"):
            await ask(runtime, "echo/slow", "repeat 100000")
        assert await ask(runtime, "echo/slow", "short") == "short"
        assert entry_of(runtime).active == 0

    run(use, slow(request_timeout=0.3))


def test_a_deadline_holds_for_a_reader_that_always_has_something_to_read() -> None:
    async def main() -> None:
        stream = Stream(1, lambda frame: None)
        batches = stream.batches(deadline=time.monotonic())
        stream.feed(Emitted(1, *pack(Text(text="more"))))
        with pytest.raises(DeadlineExceeded, match="request_timeout"):
            await anext(batches)

    asyncio.run(main())


def test_a_model_that_does_not_listen_is_given_up_on_alike() -> None:
    async def use(runtime: Runtime) -> None:
        with pytest.raises(DeadlineExceeded):
            await ask(runtime, "stubborn/a", "for ever")

    run(use, Config(pool=PoolConfig(request_timeout=0.2), workers=WorkersConfig(hang_timeout=0.1)))


def test_a_result_is_the_answer_of_a_task_that_answers_as_a_whole() -> None:
    async def use(runtime: Runtime) -> None:
        assert await send(runtime, "echo/a", "embed", EmbedRequest(input=("a",))) == [EmbedResult.of([[1.0, 97.0]], 1)]

    run(use)


def test_what_a_model_really_takes_is_measured_when_it_is_loaded() -> None:
    ballast = 150_000_000

    async def use(runtime: Runtime) -> None:
        await ask(runtime, "echo/heavy")
        entry = entry_of(runtime)
        assert entry.plan.claim.memory.total < ballast < entry.memory < 3 * ballast
        assert entry.counted("cpu") == entry.memory

    run(use, Config(model=configured("echo/heavy", ballast=ballast)))


def test_a_job_on_a_worker_that_is_gone_is_refused_as_such() -> None:
    async def use(runtime: Runtime) -> None:
        await ask(runtime, "echo/a")
        worker = entry_of(runtime).worker
        assert worker is not None
        worker.kill()
        await worker.closed.wait()
        with pytest.raises(WorkerDied):
            worker.run("chat", chat_request("x", 1))

    run(use)


def stream() -> tuple[Stream, list[Any]]:
    sent: list[Any] = []
    return Stream(1, sent.append), sent


def text(word: str) -> Emitted:
    return Emitted(1, *pack(Text(text=word)))


def test_what_arrived_since_the_last_look_comes_together() -> None:
    async def main() -> list[list[str]]:
        found, _ = stream()
        for word in "ab":
            found.feed(text(word))
        batches = found.batches()
        seen = [await anext(batches)]
        found.feed(text("c"))
        found.feed(Ended(1))
        seen += [batch async for batch in batches]
        return [[message.text for message in batch if isinstance(message, Text)] for batch in seen]

    assert asyncio.run(main()) == [["a", "b"], ["c"]]


def test_an_empty_batch_says_that_nothing_came_for_a_while() -> None:
    async def main() -> None:
        found, _ = stream()
        batches = found.batches(patience=0.001)
        assert await anext(batches) == []
        found.feed(Ended(1))
        assert [batch async for batch in batches if batch] == []

    asyncio.run(main())


def test_a_reader_grants_as_it_reads_and_cancels_when_it_leaves() -> None:
    async def main() -> list[Any]:
        found, sent = stream()
        batches = found.batches()
        for _ in range(WINDOW // 2):
            found.feed(text("x"))
        await anext(batches)
        found.feed(text("y"))
        await anext(batches)
        await batches.aclose()
        return sent

    assert asyncio.run(main()) == [Grant(1, WINDOW // 2), Cancel(1)]


def test_one_who_read_to_the_end_cancels_nothing() -> None:
    async def main() -> list[Any]:
        found, sent = stream()
        found.feed(text("x"))
        found.feed(Ended(1))
        assert len([batch async for batch in found.batches()]) == 1
        return sent

    assert asyncio.run(main()) == []


def test_what_came_before_an_error_is_read_first() -> None:
    async def main() -> None:
        found, _ = stream()
        found.feed(text("x"))
        found.fail(WorkerDied("gone"))
        batches = found.batches()
        assert len(await anext(batches)) == 1
        with pytest.raises(WorkerDied, match="gone"):
            await anext(batches)

    asyncio.run(main())
