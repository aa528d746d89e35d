"""Downloads: each in a process of its own, one for all who wait for the same files."""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from universal_core.errors import LoadFailed, UniversalError, from_failure
from universal_core.launcher import Launcher
from universal_core.models import Backend, Claim, ModelInfo, Progress
from universal_core.process import Worker

log = logging.getLogger(__name__)

Report = Callable[[Progress], None]
_PROCESS = Backend(name="download", model="", tasks=())
"""What the process of a download is launched as: a backend that imports nothing beforehand."""


class Download:
    """Files of one model that are being fetched, and those who wait for them."""

    def __init__(self, info: ModelInfo, claim: Claim) -> None:
        self.info = info
        self.claim = claim
        self.progress = Progress("downloading")
        self.reports: list[Report] = []
        self.task: asyncio.Task[ModelInfo] | None = None
        self.pid = 0

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two downloads the same: source, repository, revision, and the names of the files."""
        info = self.info
        names = frozenset(file.name for file in info.matching(*self.claim.files))
        return info.source, info.ref.name, info.ref.revision, info.revision, names

    def tell(self, progress: Progress) -> None:
        """Keep how far it is, and pass it on to all who wait."""
        self.progress = progress
        for report in self.reports:
            report(progress)


class Downloads:
    """Fetches models that are not on this machine; what is asked for twice is fetched once."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._active: dict[tuple[object, ...], Download] = {}
        self._ending: set[asyncio.Task[ModelInfo]] = set()

    @property
    def active(self) -> list[Download]:
        """What is under way."""
        return list(self._active.values())

    async def fetch(self, info: ModelInfo, claim: Claim, report: Report) -> ModelInfo:
        """Bring the claim's files to this machine and return the info with their path.

        A download that is under way for the same files is joined, and told of at once. It ends with the last who
        waits for it, and the next one takes up what is there. Raises LoadFailed, Forbidden, InsufficientDisk.
        """
        wanted = Download(info, claim)
        download = self._active.setdefault(wanted.key, wanted)
        if download.task is None:
            download.task = asyncio.create_task(self._run(download))
        found = await self._wait(download, download.task, report)
        same = info.id == download.info.id
        return found if same else msgspec.structs.replace(found, id=info.id, ref=info.ref)

    async def _wait(self, download: Download, task: "asyncio.Task[ModelInfo]", report: Report) -> ModelInfo:
        download.reports.append(report)
        report(download.progress)
        try:
            await asyncio.wait({task})
        finally:
            download.reports.remove(report)
            if not task.done() and not download.reports:
                self._end(download, task)
        if task.cancelled():
            raise LoadFailed(f"downloading {download.info.id} was called off")
        error = task.exception()
        if isinstance(error, UniversalError):
            # Several may wait, and each gets an error of its own.
            raise from_failure(error.to_failure())
        return task.result()

    def _end(self, download: Download, task: "asyncio.Task[ModelInfo]") -> None:
        """Call a download off; who asks for it from now on begins another."""
        self._active.pop(download.key, None)
        task.cancel()
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _run(self, download: Download) -> ModelInfo:
        info, worker = download.info, Worker()
        log.info("downloading %s", info.id)
        try:
            await self._launcher.launch(worker, _PROCESS, lambda progress: None)
            download.pid = worker.pid
            found = await worker.fetch(info, download.claim, download.tell)
        except UniversalError as error:
            log.warning("downloading %s failed: %s", info.id, error.message)
            raise
        finally:
            if self._active.get(download.key) is download:
                del self._active[download.key]
            await worker.stop(0.0)
        log.info("downloaded %s", info.id)
        return found

    async def close(self) -> None:
        """End every download; whoever waits for one is told that it was called off."""
        for download in self.active:
            if download.task is not None:
                self._end(download, download.task)
        if self._ending:
            await asyncio.wait(self._ending)
