"""When models were used last: noted on their files, where every tool that looks at the HuggingFace cache reads it."""

import os
import time
from collections.abc import Iterable
from contextlib import suppress

from universal_core.entry import Entry
from universal_core.models import Claim, ModelInfo


def last_use(entry: Entry) -> float:
    """Return when a model in memory was used last, in seconds since 1970: now, where it is at work."""
    return time.time() - (time.monotonic() - entry.used if entry.idle else 0.0)


def note_uses(entries: Iterable[Entry]) -> None:
    """Write the last use of every model in memory down, as the access time of its largest file.

    Most systems write an access down once a day at most, and that of a file that stays in memory never. Files that may
    not be changed stay as they are.
    """
    for entry in entries:
        if entry.info.path is not None and entry.state == "ready":
            with suppress(OSError):
                _touch(entry.info, entry.plan.claim, last_use(entry))


def _touch(info: ModelInfo, claim: Claim, moment: float) -> None:
    largest = max(info.matching(*claim.files), key=lambda file: file.size, default=None)
    if largest is not None:
        path = info.place_of(largest.name)
        status = path.stat()
        if status.st_atime < moment:
            os.utime(path, ns=(int(moment * 1e9), status.st_mtime_ns))
