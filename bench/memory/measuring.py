"""Loads each model in a worker of its own, keeps it as busy as it can be, and compares what it took with the estimate.

What counts is what comes back when the worker ends: its unique set size. That has all that is private to the process
and the pages of files that no other process has in its memory, such as weights that are mapped. It lacks the libraries
that the worker has in common with the nursery that forked it. On an accelerator, what is gone from the free memory of
the device is added to it.
"""

import asyncio
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.comparison import Comparison, Found, Goal
from bench.memory.case import FAMILIES, Case, cases_of
from bench.setting import Setting
from runtimes import running
from universal_core import MemoryEstimate, Request
from universal_core.config import Config, ModelConfig, PoolConfig
from universal_core.entry import Plan
from universal_core.launcher import Launcher
from universal_core.memory import accelerator
from universal_core.models import Backend, Progress
from universal_core.process import Worker
from universal_core.runtime import Runtime

INTERVAL = 0.02
"""Seconds between two looks, or twice as long as the last one took where that is more: a look stops the process."""

MODEL = "bench"
RESERVED, PLANNED, LOADING, LOADED, PEAK = "set aside", "planned", "most while loading", "after loading", "most at work"
PARTS = ("weights", "cache", "working", "host")


class Sizes(NamedTuple):
    """Families, and parts of the names of cases: all of them where there is none."""

    families: tuple[str, ...] = tuple(FAMILIES)
    cases: tuple[str, ...] = ()


class Taken(NamedTuple):
    """Bytes that were estimated, and that were measured.

    ``planned`` is what the model needs; ``estimate`` has what was set aside, which is more where its cache was given
    memory that nobody else needed.
    """

    planned: int
    estimate: MemoryEstimate
    loading: int
    loaded: int
    working: int

    @property
    def peak(self) -> int:
        """The most of a model that is loaded; what is read from files while it loads can be taken back at any time."""
        return max(self.loaded, self.working)


def measure(setting: Setting) -> Found:
    """Measure one case after the other."""
    sizes = setting.sizes(Sizes(), Sizes(("text",), ("tiny",)))
    comparisons: list[Comparison] = []
    notes: list[str] = []
    for case in cases_of(sizes.families, sizes.cases):
        if setting.quick is not ("tiny" in case.name):
            continue
        taken = measured(case, setting)
        comparisons.append(_compared(case, taken))
        notes.append(_parts(case, taken))
        print(_line(case, taken), file=sys.stderr, flush=True)
    return Found("random weights, a worker at its busiest", comparisons, notes)


def measured(case: Case, setting: Setting) -> Taken:
    """Write the model of a case, measure it, and delete it."""
    folder = Path(tempfile.mkdtemp(prefix="memory-"))
    try:
        return asyncio.run(_measured(case, case.write(folder / "model"), setting))
    finally:
        shutil.rmtree(folder)


async def _measured(case: Case, model: Path, setting: Setting) -> Taken:
    options = {"device": setting.device, case.threads: setting.threads, **case.options}
    entry = ModelConfig(model=str(model), options=options, **case.settings)
    # What was measured before is not to stand in for the estimate.
    config = Config(model={MODEL: entry}, pool=PoolConfig(measurements=""))
    async with running(config) as runtime:
        plan = await runtime.router.plan(MODEL)
        watcher = runtime.pool.launcher = WatchedLauncher(config, plan)
        with watcher.watching():
            # What is measured later on corrects it.
            estimate = (await runtime.pool.load(plan)).estimate
            loading, loaded = watcher.reset(), watcher.now()
            for task, requests in case.work():
                await asyncio.gather(*(_answered(runtime, task, request) for request in requests))
            return Taken(plan.claim.memory.total, estimate, loading, loaded, watcher.reset())


async def _answered(runtime: Runtime, task: str, request: Request) -> None:
    plan = await runtime.router.plan(MODEL, task)
    async with runtime.router.call(plan, task, request) as call:
        async for _ in call.batches():
            pass


class WatchedLauncher(Launcher):
    """Launches a worker, and looks again and again how much memory it has."""

    def __init__(self, config: Config, plan: Plan) -> None:
        super().__init__(config)
        self._device = plan.devices[0]
        self._before = _free(plan.devices[0])
        self._process: psutil.Process | None = None
        self._most = 0
        self._ended = threading.Event()

    async def launch(self, worker: Worker, backend: Backend, report: Callable[[Progress], None]) -> None:
        """Bring up a worker, and remember it."""
        await super().launch(worker, backend, report)
        self._process = psutil.Process(worker.pid)

    def now(self) -> int:
        """Return the bytes that the worker has."""
        if self._process is None:
            return 0
        try:
            own = self._process.memory_full_info().uss
        except psutil.Error:
            return 0
        return own + max(self._before - _free(self._device), 0)

    def reset(self) -> int:
        """Return the most that was seen since the last time."""
        found, self._most = max(self._most, self.now()), 0
        return found

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at it, until this is left."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _watch(self) -> None:
        pause = INTERVAL
        while not self._ended.wait(pause):
            began = time.monotonic()
            # First, for it takes a while: what was seen before is forgotten meanwhile.
            seen = self.now()
            self._most = max(self._most, seen)
            pause = max(INTERVAL, 2 * (time.monotonic() - began))


def _free(device: str) -> int:
    found = accelerator(device) if device != "cpu" else None
    return found.free if found else 0


def _compared(case: Case, taken: Taken) -> Comparison:
    values = {RESERVED: taken.estimate.total, "peak": taken.peak, PLANNED: taken.planned}
    values |= {LOADING: taken.loading, LOADED: taken.loaded, PEAK: taken.working}
    samples = {name: [count / 1e6] for name, count in values.items()}
    return Comparison(case.name, "memory", "MB", samples, (Goal("peak", least=1.0, most=1.15),))


def _parts(case: Case, taken: Taken) -> str:
    parts = ", ".join(f"{name} {getattr(taken.estimate, name) / 1e6:.0f}" for name in PARTS)
    given = f", planned {taken.planned / 1e6:.0f}" if taken.planned != taken.estimate.total else ""
    return f"{case.name} is estimated as {parts} MB{given}"


def _line(case: Case, taken: Taken) -> str:
    seen = f"loading {taken.loading / 1e6:.0f}, loaded {taken.loaded / 1e6:.0f}, at work {taken.working / 1e6:.0f} MB"
    return f"{_parts(case, taken)}; {seen}: ratio {taken.estimate.total / max(taken.peak, 1):.2f}"
