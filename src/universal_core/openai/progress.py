"""How far a load or a download is, told as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import msgspec

from universal_core.downloads import Download
from universal_core.http import data
from universal_core.models import Progress

INTERVAL = 0.25
"""Seconds between two events."""


class ProgressEvent(msgspec.Struct, omit_defaults=True):
    """How far a model is; files and bytes while it is being downloaded, speed and time left once they are known."""

    model: str
    status: str
    stage: str | None = None
    fraction: float | None = None
    files: int | None = None
    files_done: int | None = None
    bytes: int | None = None
    bytes_done: int | None = None
    bytes_per_second: float | None = None
    seconds_left: float | None = None

    @classmethod
    def of(cls, model: str, status: str, progress: Progress) -> "ProgressEvent":
        """Return what tells of a progress."""
        transfer = msgspec.structs.asdict(progress.transfer) if progress.transfer else {}
        return cls(model, status, progress.stage, progress.fraction, **transfer)


class DownloadState(ProgressEvent):
    """A download that is under way, as /health shows it."""

    pid: int = 0


def told(download: Download) -> DownloadState:
    """Return what /health shows of a download."""
    found = download_event(download.info.id, download.progress)
    return DownloadState(**msgspec.structs.asdict(found), pid=download.pid)


def download_event(model: str, progress: Progress) -> ProgressEvent:
    """Return the event of a download, whose status is ``downloading`` or ``checking``."""
    return ProgressEvent.of(model, progress.stage if progress.stage == "checking" else "downloading", progress)


async def progress_events(
    work: Awaitable[Any], progress: Callable[[], Progress | None], tell: Callable[[Progress], ProgressEvent]
) -> AsyncGenerator[bytes]:
    """Yield how far the work is whenever that has changed, until it is done; leaving it calls the work off.

    Raises what the work raises.
    """
    running = asyncio.ensure_future(work)
    last = None
    try:
        while not (await asyncio.wait({running}, timeout=INTERVAL))[0]:
            found = progress()
            if found is not None and found != last:
                last = found
                yield data(tell(found))
        running.result()
    finally:
        running.cancel()
