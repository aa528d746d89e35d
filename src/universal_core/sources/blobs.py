"""One file of a repository on its way into the cache: partial, whole, checked, and only then under its own name."""

import hashlib
import logging
import os
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from universal_core.errors import LoadFailed
from universal_core.sources.meter import Meter
from universal_core.sources.patience import Patience

log = logging.getLogger(__name__)

_PIECE = 1024 * 1024
_SHA256, _SHA1 = 64, 40
_XET = {"client.retry_max_duration": "20s", "client.retry_base_delay": "1s", "client.connect_timeout": "10s"}
"""By itself hf_xet tries for minutes before it says that it cannot reach its storage."""


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """A file as the hub has it: its name and size, its checksum, and where it comes from and goes to.

    ``etag`` is its name in the cache, and its checksum: SHA-256 of a large file, git's SHA-1 of any other. ``xet`` is
    the hash of a file that the hub keeps in chunks, and the address of a token to read them with.
    """

    name: str
    size: int
    etag: str
    url: str
    folder: str
    xet: tuple[str, str] | None = None

    @property
    def path(self) -> Path:
        """The file, when it is whole."""
        return Path(self.folder) / self.etag

    @property
    def partial(self) -> Path:
        """What has come of it so far."""
        return Path(self.folder) / f"{self.etag}.incomplete"

    @property
    def missing(self) -> int:
        """The bytes that have not come yet."""
        if self.path.exists():
            return 0
        return max(self.size - self.partial.stat().st_size, 0) if self.partial.exists() else self.size


def fetch_blob(blob: Blob, lock: Path, meter: Meter) -> None:
    """Bring a file into the cache, going on with what an earlier try left of it.

    Other processes, and other tools, that want the same file wait at ``lock``. Raises LoadFailed for a file that is
    not what the hub says it is, HTTPError and OSError for one that did not come.
    """
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    lock.parent.mkdir(parents=True, exist_ok=True)
    blob.path.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.path.exists():
            meter.present(blob.size)
        else:
            meter.to_check(blob.size)
            _receive(blob, meter)
            _check(blob, meter)
            blob.partial.replace(blob.path)
    meter.finish_file()


def _receive(blob: Blob, meter: Meter) -> None:
    from httpx2 import HTTPError

    with blob.partial.open("ab") as file:
        if file.tell() > blob.size:
            _empty(file)
        meter.present(file.tell())
        patience, xet = Patience(), blob.xet is not None and _has_xet()
        while (start := file.tell()) < blob.size:
            try:
                if xet and not _over_xet(blob, file, meter):
                    xet = False
                elif not xet:
                    _over_http(blob, file, meter)
            except HTTPError as error:
                if file.tell() > start:
                    patience.renew()
                patience.wait(error)


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _over_http(blob: Blob, file: BinaryIO, meter: Meter) -> None:
    """Write what follows the file's end. Raises HTTPError; what came before it is kept."""
    from huggingface_hub import constants, get_session, hf_raise_for_status
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    start = file.tell()
    headers = build_hf_headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with get_session().stream("GET", blob.url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT) as response:
        hf_raise_for_status(response)
        if start and response.status_code != 206:
            # Some proxies know no ranges, and send the whole file.
            _empty(file)
            meter.received(-start)
        for piece in response.iter_bytes():
            file.write(piece)
            meter.received(len(piece))
    if file.tell() < blob.size:
        raise OSError(f"the hub sent {file.tell()} bytes of {blob.name}, which has {blob.size}")


def _over_xet(blob: Blob, file: BinaryIO, meter: Meter) -> bool:
    """Write what follows the file's end, from the chunks of which the hub keeps it; return whether that worked."""
    start = file.tell()
    pieces = _xet_pieces(blob, start)
    while True:
        try:
            piece = next(pieces, None)
        except (OSError, RuntimeError, ValueError) as error:
            # hf_xet documents no errors of its own; whatever they are, HTTP goes on where it stopped.
            log.warning("%s is fetched over HTTP, because Xet failed: %s", blob.name, error)
            return False
        if piece is None:
            return file.tell() > start
        file.write(piece)
        meter.received(len(piece))


def _xet_pieces(blob: Blob, start: int) -> Iterator[bytes]:
    from hf_xet import XetFileInfo  # type: ignore[import-untyped]
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    assert blob.xet is not None
    digest, token_url = blob.xet
    group = _xet_session(os.getpid()).new_download_stream_group(
        token_refresh_url=token_url, token_refresh_headers=build_hf_headers()
    )
    yield from group.download_stream(XetFileInfo(digest, blob.size), start=start)


def _has_xet() -> bool:
    from huggingface_hub import constants

    return not constants.HF_HUB_DISABLE_XET and find_spec("hf_xet") is not None


@cache
def _xet_session(process: int) -> Any:
    """Return the session of a process: its threads do not survive a fork."""
    from hf_xet import XetConfig, XetSession

    return XetSession(XetConfig().with_config(_XET))


def _check(blob: Blob, meter: Meter) -> None:
    """Compare a file with the checksum that is its name; a wrong one is removed."""
    found = _digest(blob, meter)
    if blob.partial.stat().st_size == blob.size and found in (None, blob.etag):
        return
    size = blob.partial.stat().st_size
    blob.partial.unlink()
    raise LoadFailed(
        f"{blob.name} arrived damaged: expected {blob.size} bytes with checksum {blob.etag}, found {size} bytes with "
        f"{found}; it was removed, and the next try fetches it again"
    )


def _digest(blob: Blob, meter: Meter) -> str | None:
    if len(blob.etag) == _SHA256:
        digest = hashlib.sha256()
    elif len(blob.etag) == _SHA1:
        digest = hashlib.sha1(f"blob {blob.size}\0".encode(), usedforsecurity=False)
    else:
        return None  # A mirror of the hub may have ETags of its own, which say nothing of the content.
    with blob.partial.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            meter.checked(len(piece))
    return digest.hexdigest()
