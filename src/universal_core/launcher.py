"""Brings worker processes up, and keeps one nursery for each set of imports that backends ask for."""

import sys
import time
from collections.abc import Callable

from universal_core.config import Config
from universal_core.models import Backend, Progress
from universal_core.nursery import NurseryClient
from universal_core.process import Worker
from universal_core.worker import Setup

CAN_FORK = sys.platform == "linux"
"""macOS's frameworks and Windows do not survive a fork; every worker is a fresh interpreter there."""


class Launcher:
    """Starts workers: forked where that is safe, each in an interpreter of its own otherwise."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._nurseries: dict[Setup, NurseryClient] = {}
        self._used: dict[Setup, float] = {}

    def configure(self, config: Config) -> None:
        """Start workers by another configuration from now on."""
        self._config = config

    async def launch(self, worker: Worker, backend: Backend, report: Callable[[Progress], None]) -> None:
        """Bring up a worker for a backend; ``report`` is told what takes time."""
        setup = Setup(backend.preload, self._config.plugins.block, self._config.logging)
        nursery = self._nursery(setup) if backend.fork and self._config.workers.fork and CAN_FORK else None
        if nursery is None or not nursery.ready:
            libraries = ", ".join(dict.fromkeys(module.partition(".")[0] for module in backend.preload))
            report(Progress(f"importing {libraries}" if libraries else "starting Python"))
        await worker.start(setup, nursery)

    def _nursery(self, setup: Setup) -> NurseryClient:
        nursery = self._nurseries.get(setup)
        if nursery is None or not nursery.alive:
            nursery = self._nurseries[setup] = NurseryClient(setup)
        self._used[setup] = time.monotonic()
        return nursery

    def sweep(self) -> None:
        """End the nurseries that have had no worker for long."""
        limit = self._config.workers.nursery_idle
        for key, nursery in list(self._nurseries.items()):
            if nursery.busy:
                self._used[key] = time.monotonic()
            elif limit and time.monotonic() - self._used[key] >= limit:
                nursery.close()
                del self._nurseries[key]

    def close(self) -> None:
        """End every nursery."""
        for nursery in self._nurseries.values():
            nursery.close()
        self._nurseries.clear()
