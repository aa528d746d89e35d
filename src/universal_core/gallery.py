"""The folder where pictures that models make are kept: their names, writing, looking up, and making room.

Everything here reads and writes disks, so it is called in threads and never on the event loop.
"""

import errno
import logging
import math
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from universal_core.config import ImagesConfig
from universal_core.errors import NotFound, StorageFailed
from universal_core.messages import Picture

SWEEP_INTERVAL = 60.0
"""Seconds between two looks for pictures to remove."""

SPARED = 60.0
"""Seconds for which a picture stays whatever the limits are: whoever asked for it has yet to fetch it."""

ABANDONED = 3600.0
"""Seconds after which what a write has left behind is removed; no write takes that long."""

LONGEST_MODEL = 100
"""Characters of a model's name in a file's; the last ones say most."""

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*_\d{8}_\d{6}_\d{1,10}_\d{1,2}(-\d{1,6})?\.(png|jpeg|webp)", re.ASCII)
_UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.part")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)

log = logging.getLogger(__name__)


class Gallery:
    """Keeps pictures in the folder of the configuration, and removes the oldest when it has too many."""

    def __init__(self, config: ImagesConfig) -> None:
        self._config = config
        self._folder = Path(config.outputs).expanduser().absolute()
        self._swept = -math.inf
        self._sweeping = threading.Lock()

    def configure(self, config: ImagesConfig) -> None:
        """Keep to other limits from now on; the folder stays."""
        self._config = config

    def prepare(self) -> None:
        """Make the folder where it is missing. Raises StorageFailed where nothing can be written."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            writable = os.access(self._folder, os.W_OK | os.X_OK)
        except OSError as error:
            raise self._failure(error.strerror) from None
        if not writable:
            raise self._failure(os.strerror(errno.EACCES))

    def save(self, picture: Picture, model: str) -> Path:
        """Write a picture under a name of its own; return its path. Raises StorageFailed, and leaves nothing then."""
        self.prepare()
        stem = name_of(picture, model, time.localtime())
        unfinished = self._folder / f".{secrets.token_hex(8)}.part"
        try:
            with unfinished.open("xb") as file:
                file.write(picture.data)
            return _publish(unfinished, stem, f".{picture.format}")
        except OSError as error:
            raise self._failure(error.strerror) from None
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)

    def find(self, name: str) -> tuple[Path, os.stat_result]:
        """Return a picture's path and state. Raises NotFound for what no picture here can be called, and for a link."""
        path = self._folder / name
        with suppress(OSError):
            if _NAME.fullmatch(name) and stat.S_ISREG((found := path.lstat()).st_mode):
                return path, found
        raise NotFound(f"there is no picture {name}; it may have been removed to make room (images.max_age, max_bytes)")

    def sweep(self) -> None:
        """Remove what is too old or too much, the oldest first, unless that was just done or is being done."""
        if time.monotonic() - self._swept < SWEEP_INTERVAL:
            return
        if self._sweeping.acquire(blocking=False):
            try:
                self._swept = time.monotonic()
                self._remove(time.time())
            finally:
                self._sweeping.release()

    def _remove(self, now: float) -> None:
        pictures = []
        for entry, state in _files(self._folder):
            if _NAME.fullmatch(entry.name):
                pictures.append((state.st_mtime, state.st_size, entry))
            elif _UNFINISHED.fullmatch(entry.name) and state.st_mtime < now - ABANDONED:
                _unlink(entry)
        excess = sum(size for _, size, _ in pictures) - self._config.max_bytes if self._config.max_bytes else 0
        oldest = now - self._config.max_age if self._config.max_age else 0.0
        for written, size, path in sorted(pictures):
            if written >= now - SPARED or (written >= oldest and excess <= 0):
                break
            _unlink(path)
            excess -= size

    def _failure(self, reason: str | None) -> StorageFailed:
        return StorageFailed(
            f"pictures cannot be kept in {self._folder}: {reason}; make room there, or set images.outputs to a folder "
            'that can be written. With response_format "b64_json" no file is needed'
        )


def name_of(picture: Picture, model: str, moment: time.struct_time) -> str:
    """Return the name of a picture's file without its ending: model, local time, seed and place in its request."""
    safe = _UNSAFE.sub("_", model)[-LONGEST_MODEL:].lstrip("._-") or "model"
    return f"{safe}_{time.strftime('%Y%m%d_%H%M%S', moment)}_{picture.seed}_{picture.index}"


def _publish(unfinished: Path, stem: str, suffix: str) -> Path:
    """Give a written file the first name that is free, in one step that never replaces another file."""
    path, number = unfinished.with_name(f"{stem}{suffix}"), 1
    while True:
        with suppress(FileExistsError):
            _move(unfinished, path)
            return path
        number += 1
        path = unfinished.with_name(f"{stem}-{number}{suffix}")


def _move(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without links: the name is taken by an empty file first, which is then replaced.
        target.touch(exist_ok=False)
        source.replace(target)


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield every file of the folder, and no link; one that goes away meanwhile is left out."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_file(follow_symlinks=False):
                    yield folder / entry.name, entry.stat(follow_symlinks=False)


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s cannot be removed: %s", path, error.strerror)
