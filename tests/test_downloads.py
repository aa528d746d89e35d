"""Downloads: real processes, the hub's real client, and a small hub that has bad days."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from hub_server import Hub, point_to, running_hub
from universal_core import Claim, ModelInfo, ModelRef, Progress
from universal_core.config import Config, PluginsConfig
from universal_core.downloads import Downloads
from universal_core.errors import Forbidden, InsufficientDisk, LoadFailed
from universal_core.launcher import Launcher
from universal_core.sources.hub import find_model

Value = TypeVar("Value")
Run = Callable[[Callable[[Downloads], Awaitable[Any]]], Any]
PATIENCE = 60.0
OTHERS = ("audio", "diffusion", "gguf", "text", "vision")
MEGABYTE = 1_000_000
WEIGHTS = os.urandom(MEGABYTE)
FILES = {"config.json": b"{}", "model.safetensors": WEIGHTS, "pytorch_model.bin": b"b" * 1000}
CLAIM = Claim(backend="any", tasks=("chat",), reason="a test", files=("*.json", "*.safetensors"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def running(cache: Path) -> Iterator[Hub]:
    from huggingface_hub import close_session

    with running_hub() as found, pytest.MonkeyPatch.context() as monkeypatch:
        point_to(monkeypatch, found.url, cache)
        yield found
        close_session()


@pytest.fixture
def hub(running: Hub) -> Iterator[Hub]:
    running.forget()
    yield running
    running.mend()


@pytest.fixture(scope="module")
def run(running: Hub) -> Iterator[Run]:
    """Run a test's coroutine with downloads that start their processes fast: one nursery serves all tests."""
    with asyncio.Runner() as runner:
        launcher = runner.run(made(Launcher, Config(plugins=PluginsConfig(block=OTHERS))))

        async def use_downloads(use: Callable[[Downloads], Awaitable[Any]]) -> Any:
            downloads = Downloads(launcher)
            try:
                return await asyncio.wait_for(use(downloads), PATIENCE)
            finally:
                await downloads.close()

        yield lambda use: runner.run(use_downloads(use))
        runner.run(made(launcher.close))


async def made(make: Callable[..., Value], *arguments: Any) -> Value:
    return make(*arguments)


def only(*files: str) -> Claim:
    return Claim(backend="any", tasks=("chat",), reason="a test", files=files)


def look(text: str) -> ModelInfo:
    found = find_model(ModelRef.parse(text))
    assert found is not None
    return found


def begin(downloads: Downloads, info: ModelInfo, claim: Claim = CLAIM) -> "tuple[asyncio.Task[ModelInfo], Told]":
    told = Told()
    return asyncio.create_task(downloads.fetch(info, claim, told)), told


class Told:
    """Keeps what is reported, and lets a test wait for a report."""

    def __init__(self) -> None:
        self.all: list[Progress] = []
        self._news = asyncio.Event()

    def __call__(self, progress: Progress) -> None:
        self.all.append(progress)
        self._news.set()

    async def until(self, met: Callable[[Progress], bool]) -> Progress:
        while True:
            found = next((progress for progress in self.all if met(progress)), None)
            if found is not None:
                return found
            self._news.clear()
            await self._news.wait()


def partials(cache: Path, repo: str) -> list[Path]:
    return list((cache / f"models--{repo.replace('/', '--')}").rglob("*.incomplete"))


def arrived(progress: Progress) -> int:
    return progress.transfer.bytes_done if progress.transfer else 0


def test_a_model_is_downloaded_in_a_process_of_its_own_that_is_gone_afterwards(hub: Hub, run: Run) -> None:
    hub.add("org/alone", FILES)
    pids = []

    async def use(downloads: Downloads) -> ModelInfo:
        task, told = begin(downloads, look("org/alone"))
        await told.until(lambda progress: progress.transfer is not None)
        pids.extend(download.pid for download in downloads.active)
        return await task

    info = run(use)
    assert [file.name for file in info.files] == ["config.json", "model.safetensors"]
    assert (Path(info.path or "") / "model.safetensors").read_bytes() == WEIGHTS
    assert os.getpid() not in pids
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_what_several_wait_for_is_downloaded_once_and_all_are_told(hub: Hub, run: Run) -> None:
    hub.add("org/shared", FILES)
    gate = hub.hold("model.safetensors", MEGABYTE // 2)

    async def use(downloads: Downloads) -> list[ModelInfo]:
        first, told = begin(downloads, look("org/shared"))
        await told.until(lambda progress: arrived(progress) >= MEGABYTE // 4)
        second, later = begin(downloads, look("org/shared"))
        await asyncio.sleep(0)
        assert arrived(later.all[0]) >= MEGABYTE // 4, "a late joiner is told at once how far it is"
        assert len(downloads.active) == 1
        gate.open.set()
        found = await asyncio.gather(first, second)
        assert arrived(told.all[-1]) == arrived(later.all[-1]) == MEGABYTE + 2
        return found

    first, second = run(use)
    assert first == second
    assert hub.count("GET /org/shared/resolve/") == 2


def test_a_download_ends_with_the_last_who_waits_and_the_next_goes_on(hub: Hub, run: Run, cache: Path) -> None:
    hub.add("org/left", FILES)
    gate = hub.hold("model.safetensors", MEGABYTE // 2)

    async def use(downloads: Downloads) -> None:
        first, told = begin(downloads, look("org/left"))
        second, _ = begin(downloads, look("org/left"))
        await told.until(lambda progress: arrived(progress) >= MEGABYTE // 4)
        process = psutil.Process(downloads.active[0].pid)
        first.cancel()
        await asyncio.wait({first})
        assert process.is_running()
        assert not second.done()
        second.cancel()
        await asyncio.wait({second})
        assert downloads.active == []
        await asyncio.to_thread(psutil.wait_procs, [process])
        assert len(partials(cache, "org/left")) == 1
        assert look("org/left").path is None
        gate.open.set()
        hub.mend()
        await downloads.fetch(look("org/left"), CLAIM, lambda progress: None)

    run(use)
    [(file, start)] = hub.ranges
    assert file == "model.safetensors"
    assert 0 < start <= MEGABYTE // 2
    assert partials(cache, "org/left") == []
    assert (Path(look("org/left").path or "") / "model.safetensors").read_bytes() == WEIGHTS


def test_two_sets_of_files_of_one_repository_are_downloaded_at_the_same_time(hub: Hub, run: Run) -> None:
    hub.add("org/quants", {"a-Q2_K.gguf": b"2" * 1000, "a-Q8_0.gguf": b"8" * 1000})
    gates = [hub.hold(name, 500) for name in ("a-Q2_K.gguf", "a-Q8_0.gguf")]

    async def use(downloads: Downloads) -> None:
        tasks = [begin(downloads, look(f"org/quants:{kind}"), only(f"*{kind}*"))[0] for kind in ("Q2_K", "Q8_0")]
        for gate in gates:
            await asyncio.to_thread(gate.reached.wait)
        assert len({download.pid for download in downloads.active}) == 2
        for gate in gates:
            gate.open.set()
        found = await asyncio.gather(*tasks)
        assert [info.id for info in found] == ["org/quants:Q2_K", "org/quants:Q8_0"]

    run(use)


def test_names_of_one_revision_join_and_keep_their_own(hub: Hub, run: Run) -> None:
    hub.add("org/names", {"a-Q8_0.gguf": b"8" * 1000})
    gate = hub.hold("a-Q8_0.gguf", 500)

    async def use(downloads: Downloads) -> None:
        tasks = [begin(downloads, look(f"org/names:{kind}"), only("*.gguf"))[0] for kind in ("Q8_0", "q8_0")]
        await asyncio.to_thread(gate.reached.wait)
        assert len(downloads.active) == 1
        gate.open.set()
        assert [info.id for info in await asyncio.gather(*tasks)] == ["org/names:Q8_0", "org/names:q8_0"]

    run(use)


def test_a_process_that_is_killed_is_told_as_such_and_what_it_had_is_no_model(hub: Hub, run: Run, cache: Path) -> None:
    hub.add("org/killed", FILES)
    hub.hold("model.safetensors", MEGABYTE // 2)

    async def use(downloads: Downloads) -> None:
        task, told = begin(downloads, look("org/killed"))
        await told.until(lambda progress: arrived(progress) >= MEGABYTE // 4)
        os.kill(downloads.active[0].pid, signal.SIGKILL)
        with pytest.raises(LoadFailed, match=r"downloading org/killed ended its process: killed by SIGKILL"):
            await task
        assert downloads.active == []

    run(use)
    assert len(partials(cache, "org/killed")) == 1
    assert look("org/killed").source == "HuggingFace hub"


def test_when_the_server_ends_nothing_remains(hub: Hub, run: Run) -> None:
    hub.add("org/ended", FILES)
    hub.hold("model.safetensors", MEGABYTE // 2)

    async def use(downloads: Downloads) -> psutil.Process:
        task, told = begin(downloads, look("org/ended"))
        await told.until(lambda progress: arrived(progress) >= MEGABYTE // 4)
        process = psutil.Process(downloads.active[0].pid)
        await downloads.close()
        with pytest.raises(LoadFailed, match="downloading org/ended was called off"):
            await task
        return process

    assert not run(use).is_running()


def test_progress_tells_files_bytes_and_what_is_being_done(hub: Hub, run: Run) -> None:
    hub.add("org/told", FILES)
    gate = hub.hold("model.safetensors", MEGABYTE // 2)

    async def use(downloads: Downloads) -> list[Progress]:
        task, told = begin(downloads, look("org/told"))
        half = await told.until(lambda progress: arrived(progress) >= MEGABYTE // 4)
        assert half.transfer is not None
        assert half.stage == "downloading"
        assert (half.transfer.files, half.transfer.bytes) == (2, MEGABYTE + 2)
        assert half.fraction == arrived(half) / half.transfer.bytes
        await told.until(lambda progress: bool(progress.transfer and progress.transfer.bytes_per_second is not None))
        gate.open.set()
        await task
        return told.all

    last = run(use)[-1]
    assert last.transfer is not None
    assert (last.transfer.files_done, last.fraction) == (2, 1.0)


def test_every_kind_of_error_reaches_whoever_waits(hub: Hub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/refused", FILES)
    hub.add("org/damaged", {**FILES, "model.safetensors": b"other" * 1000})
    infos = {name: look(name) for name in ("org/refused", "org/damaged")}
    hub.gated.add("org/refused")
    hub.damaged.add("model.safetensors")

    async def use(downloads: Downloads) -> None:
        with pytest.raises(Forbidden, match="HF_TOKEN"):
            await downloads.fetch(infos["org/refused"], CLAIM, lambda progress: None)
        with pytest.raises(LoadFailed, match=r"model.safetensors arrived damaged: expected 5000 bytes"):
            await downloads.fetch(infos["org/damaged"], CLAIM, lambda progress: None)
        huge = ModelInfo(
            id="org/huge",
            ref=ModelRef.parse("org/refused"),
            source="HuggingFace hub",
            revision=infos["org/refused"].revision,
            files=infos["org/refused"].files,
        )
        hub.gated.clear()
        monkeypatch.setattr("universal_core.sources.space.MARGIN", 1 << 60)
        # Another process has margins of its own, so this one asks here.
        from universal_core.sources.hub import fetch_model

        with pytest.raises(InsufficientDisk):
            await asyncio.to_thread(fetch_model, huge, CLAIM, lambda progress: None)

    run(use)
