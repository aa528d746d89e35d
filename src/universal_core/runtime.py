"""The composition root: configuration, plugins, pool and router, put together and kept running."""

import asyncio
import logging
import time
from importlib.metadata import version
from typing import Any

import msgspec

from universal_core.config import Config, ModelConfig, apply_hub
from universal_core.entry import Entry, JobProgress
from universal_core.errors import UniversalError
from universal_core.memory import device, readable
from universal_core.models import ModelInfo
from universal_core.plugins import SERVER, Plugins
from universal_core.pool import Pool
from universal_core.router import Router

log = logging.getLogger(__name__)


class ModelState(msgspec.Struct, frozen=True):
    """A model in memory, as /health shows it."""

    id: str
    task: str
    tasks: tuple[str, ...]
    backend: str
    state: str
    memory_bytes: int
    idle_seconds: float
    active: int
    queued: int
    pinned: bool
    pid: int
    progress: tuple[JobProgress, ...]


class Runtime:
    """Everything that a running server consists of, apart from HTTP."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.version = version("universal-core")
        apply_hub(config.hub)
        self.plugins = Plugins(config.plugins.block, SERVER)
        self.pool = Pool(config, self.plugins)
        self.router = Router(config, self.plugins, self.pool)
        self.preloaded = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to look for idle models, and to load the ones that are to be there from the start."""
        self._tasks.append(asyncio.create_task(self._sweep()))
        self._tasks.append(asyncio.create_task(self._preload()))

    async def stop(self) -> None:
        """End every worker and task."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pool.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self.config.pool.cleanup_interval)
            await self.pool.sweep()

    async def _preload(self) -> None:
        for name in self.config.models.preload:
            try:
                await self.pool.load(await self.router.plan(name))
            except UniversalError as error:
                log.error("preloading %s failed: %s", name, error.message)
        self.preloaded.set()

    def models(self) -> list[ModelState]:
        """Return the state of every model in memory."""
        now = time.monotonic()
        return [_state(entry, now) for entry in self.pool.entries.values()]

    def known_models(self) -> dict[str, tuple[ModelInfo | None, ModelConfig | None]]:
        """Return everything that can be named: in memory, on this machine, configured. Reads disks."""
        known: dict[str, tuple[ModelInfo | None, ModelConfig | None]] = {}
        for _, found in self.plugins.ask_each("list_models"):
            for info in found or ():
                known.setdefault(info.id, (info, None))
        for name, configured in self.config.model.items():
            known[name] = (known.get(configured.model or name, (None, None))[0], configured)
        # A copy, because this runs beside the loop, which adds and removes entries.
        for entry in list(self.pool.entries.values()):
            known[entry.plan.name] = (entry.info, self.config.model.get(entry.plan.name))
        return known

    def device_info(self) -> dict[str, Any]:
        """Return the device that models run on and what they take there, sizes as people read them."""
        found = device(self.config.workers.device)
        here = [entry for entry in self.pool.entries.values() if entry.plan.device == found.type]
        return {
            "type": found.type,
            "name": found.name,
            "memory_allocated": readable(sum(entry.memory for entry in here)),
            "memory_reserved": readable(sum(max(entry.reserved, entry.memory) for entry in here)),
            "memory_total": readable(found.total),
            "memory_free": readable(found.free),
        }


def _state(entry: Entry, now: float) -> ModelState:
    claim = entry.plan.claim
    return ModelState(
        id=entry.plan.name,
        task=claim.tasks[0],
        tasks=claim.tasks,
        backend=claim.backend,
        state=entry.state,
        memory_bytes=entry.memory,
        idle_seconds=round(now - entry.used, 1) if entry.idle else 0.0,
        active=entry.active,
        queued=entry.queue.queued,
        pinned=entry.plan.pinned,
        pid=entry.worker.pid if entry.worker else 0,
        progress=tuple(entry.jobs.values()),
    )
