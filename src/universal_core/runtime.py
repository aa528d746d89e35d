"""The composition root: configuration, plugins, pool and router, put together and kept running."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from importlib.metadata import version
from typing import Any

import msgspec

from universal_core import memory
from universal_core.config import (
    Changes,
    Config,
    ConfigError,
    ModelConfig,
    Sources,
    apply_hub,
    apply_models,
    compare,
)
from universal_core.entry import Entry, Plan
from universal_core.errors import UniversalError
from universal_core.memory import devices
from universal_core.metrics import Metrics
from universal_core.models import ModelInfo
from universal_core.plugins import SERVER, Plugins
from universal_core.pool import Pool
from universal_core.revision import differ, newly_wanted, replan, wanted
from universal_core.router import Router
from universal_core.states import DeviceState, ModelState
from universal_core.tracing import begin_tracing
from universal_core.uses import note_uses

log = logging.getLogger(__name__)


class Reloaded(msgspec.Struct, frozen=True):
    """What came of reading the configuration again: settings and models by name, and the file where there is one."""

    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]
    file: str | None


class Runtime:
    """Everything that a running server consists of, apart from HTTP.

    Whoever looks at ``config`` and ``router`` each time sees the present ones; whoever keeps some of a configuration is
    told of the next by ``watch``.
    """

    def __init__(self, config: Config, sources: Sources | None = None) -> None:
        """``sources`` are what the configuration was read from, and can be read from again."""
        self.config = config
        self._sources = sources
        self._checks: list[Callable[[Config], None]] = []
        self._watchers: list[Callable[[Config], None]] = []
        self._reloading = asyncio.Lock()
        self.version = version("universal-core")
        apply_hub(config.hub)
        apply_models(config.models)
        # As the driver numbers them, by which their memory is counted.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        self.plugins = Plugins(config.plugins.block, SERVER)
        self.pool = Pool(config, self.plugins)
        self.pool.renew = self._renew
        self.watch(self.pool.configure)
        self.watch(lambda later: apply_models(later.models))
        self.router = Router(config, self.plugins, self.pool)
        self.metrics = Metrics(self.pool, self.version, config.workers.device) if config.metrics.enabled else None
        self._spans = begin_tracing(config, self.version)
        for listener in (self.metrics, self._spans):
            if listener is not None:
                self.plugins.manager.register(listener, name=type(listener).__module__)
        self.preloaded = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to look for idle models, and to load the ones that are to be there from the start."""
        self._begin(self._sweep())
        self._begin(self._preload())

    async def drain(self, seconds: float) -> None:
        """Take no new work, and wait until what runs is done, at most this long; nobody needs what is preloading."""
        for task in self._tasks:
            task.cancel()
        await self.pool.drain(seconds)

    async def stop(self) -> None:
        """End every worker and task."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._note_uses()
        await self.pool.close()
        if self._spans is not None:
            await self._spans.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self.config.pool.cleanup_interval)
            await self._note_uses()
            await self.pool.sweep()

    async def _note_uses(self) -> None:
        await asyncio.to_thread(note_uses, list(self.pool.entries.values()))

    async def _preload(self) -> None:
        await self._load(wanted(self.config))
        self.preloaded.set()

    async def _load(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                await self.pool.load(await self.router.plan(name))
            except UniversalError as error:
                log.error("preloading %s failed: %s", name, error.message)

    def require(self, check: Callable[[Config], None]) -> None:
        """Have every configuration checked, this one at once; ``check`` raises ConfigError for one that is wrong."""
        check(self.config)
        self._checks.append(check)

    def watch(self, configure: Callable[[Config], None]) -> None:
        """Have each later configuration told."""
        self._watchers.append(configure)

    async def reload(self) -> Reloaded:
        """Read the configuration again, and go by it. Raises ConfigError, and changes nothing then.

        Requests under way end as they began; a model that is now run another way serves them, and no others.
        """
        if self._sources is None:
            raise ConfigError("this server was not started from a configuration that could be read again")
        async with self._reloading:
            loaded = await asyncio.to_thread(self._sources.read)
            changes = await self._change(compare(self.config, loaded.config))
        log.info(
            "the configuration was read again (%s); changed: %s; in need of a restart: %s",
            *(loaded.file or "no file", ", ".join(changes.changed) or "nothing"),
            ", ".join(changes.needs_restart) or "nothing",
        )
        return Reloaded(changes.changed, changes.needs_restart, loaded.file)

    async def _change(self, changes: Changes) -> Changes:
        for check in self._checks:
            check(changes.config)
        before = self.config
        router = Router(changes.config, self.plugins, self.pool, self.router.generation + 1)
        plans: dict[Entry, Plan | None] = {}
        # Others may be loaded while some are planned anew.
        while left := [entry for entry in self._touched(before, changes.config) if entry not in plans]:
            plans |= zip(left, await asyncio.to_thread(replan, router, left), strict=True)
        # From here on nothing waits, so that no request sees half of it.
        self.config, self.router = changes.config, router
        for configure in self._watchers:
            configure(self.config)
        self._hand_over(plans)
        self._begin(self._load(newly_wanted(before, self.config, plans)))
        return changes

    def _touched(self, before: Config, after: Config) -> list[Entry]:
        """Return the models in memory that another configuration may have run in another way."""
        return [entry for entry in self.pool.entries.values() if differ(before, after, entry.plan.name)]

    def _hand_over(self, plans: Mapping[Entry, Plan | None]) -> None:
        for entry, plan in plans.items():
            if entry.gone:
                continue
            if plan is None:
                self.pool.retire(entry, "its configuration changed", "changed")
            else:
                entry.plan = plan

    async def _renew(self, plan: Plan) -> Plan:
        """Return the present plan for a request that was planned before; as it was where there is none any more."""
        if plan.generation == self.router.generation:
            return plan
        try:
            return await self.router.plan(plan.name, plan.task)
        except UniversalError:
            return plan

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.create_task(work))

    def models(self) -> list[ModelState]:
        """Return the state of every model in memory."""
        now = time.monotonic()
        return [ModelState.of(entry, now) for entry in self.pool.everyone()]

    def devices(self) -> list[DeviceState]:
        """Return every device that has memory for models, the one that they run on by default first."""
        found = {one.type: one for one in (*devices(self.config.workers.device), memory.system())}
        return [DeviceState.of(one, self.pool) for one in found.values()]

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
            listed = known.get(entry.plan.name, (None, None))[0]
            known[entry.plan.name] = (listed or entry.info, self.config.model.get(entry.plan.name))
        for download in self.pool.downloads.active:
            known.setdefault(download.info.id, (download.info, None))
        return known
