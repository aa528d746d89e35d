"""Brings files of a repository into the HuggingFace cache, laid out as the hub's own client does.

That client forgets what it has of a file when it is interrupted, and gives a file its name before anybody has compared
it with its checksum; so files are received here, and all else is the client's.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from shutil import copyfile
from typing import TypeVar

from universal_core.config import cache_folder
from universal_core.errors import LoadFailed
from universal_core.models import ModelFile, ModelInfo, Progress
from universal_core.sources.blobs import Blob, fetch_blob
from universal_core.sources.meter import INTERVAL, Meter
from universal_core.sources.patience import patiently
from universal_core.sources.space import require_space

Item = TypeVar("Item")
WEIGHTS = ("*.safetensors", "*.gguf", "*.bin", "*.pt", "*.pth", "*.onnx")
"""Files by which a model is known to be there; they get their names last."""
_AT_ONCE = 8
_NAME = re.compile(r"^[\w.-]+$")


def repository_folder(name: str) -> Path:
    """Return a repository's folder in the cache."""
    return cache_folder() / f"models--{name.replace('/', '--')}"


def download(info: ModelInfo, files: Sequence[ModelFile], report: Callable[[Progress], None]) -> Path:
    """Bring files of a model on the hub into the cache, and return the folder where they lie under their names.

    All are whole and checked before the first of them gets its name. Raises InsufficientDisk, LoadFailed, and the
    HTTPError or OSError that kept a file from coming.
    """
    folder = repository_folder(info.ref.name)
    snapshot = folder / "snapshots" / str(info.revision)
    missing = [file for file in files if not (snapshot / _relative(file.name)).exists()]
    meter = Meter(report, len(files), sum(file.size for file in files))
    meter.present(sum(file.size for file in files) - sum(file.size for file in missing), len(files) - len(missing))
    blobs: list[Blob] = []
    _at_once(lambda file: blobs.append(_look_up(info, file, folder)), missing, meter)
    needed = {blob.etag: blob.missing for blob in blobs}
    require_space(info, sum(needed.values()), sum(file.size for file in files), folder)
    locks = cache_folder() / ".locks" / folder.name
    _at_once(lambda blob: fetch_blob(blob, locks / f"{blob.etag}.lock", meter), blobs, meter)
    meter.tell()
    named = sorted(blobs, key=lambda blob: any(fnmatchcase(blob.name, pattern) for pattern in WEIGHTS))
    for number, blob in enumerate(named):
        again = any(other.etag == blob.etag for other in named[number + 1 :])
        _give_name(blob, snapshot / _relative(blob.name), again)
    return snapshot


def _relative(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise LoadFailed(f"the repository has a file named {name!r}, which is not a name inside a folder")
    return path


def _look_up(info: ModelInfo, file: ModelFile, folder: Path) -> Blob:
    """Ask the hub for a file's checksum, and for where it is."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(info.ref.name, file.name, revision=info.revision)
    found = patiently(partial(get_hf_file_metadata, url))
    if found.etag is None or not _NAME.match(found.etag):
        raise LoadFailed(f"{url} has no usable ETag ({found.etag!r}); if HF_ENDPOINT is set, is it a hub?")
    xet = found.xet_file_data
    return Blob(
        name=file.name,
        size=file.size if found.size is None else found.size,
        etag=found.etag,
        url=url,
        folder=str(folder / "blobs"),
        xet=(xet.file_hash, xet.refresh_route) if xet else None,
    )


def _at_once(work: Callable[[Item], None], items: Iterable[Item], meter: Meter) -> None:
    """Do the work for several items at a time, telling how far it is; the first error ends all of it."""
    executor = ThreadPoolExecutor(_AT_ONCE)
    try:
        pending = {executor.submit(work, item) for item in items}
        while pending:
            done, pending = wait(pending, INTERVAL, FIRST_EXCEPTION)
            meter.tell()
            for future in done:
                future.result()
    except BaseException:
        meter.stop()
        raise
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _give_name(blob: Blob, place: Path, again: bool) -> None:
    """Let a file be found under its name: by a link, or by the file itself where links are not possible.

    ``again`` says that it has another name to come.
    """
    from huggingface_hub.file_download import are_symlinks_supported

    if place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if are_symlinks_supported(cache_folder()):
        place.unlink(missing_ok=True)
        place.symlink_to(os.path.relpath(blob.path, place.parent))
    elif again:
        # Copied and then renamed, so that a name never stands for half a file.
        half = place.with_name(f"{place.name}.incomplete")
        copyfile(blob.path, half)
        half.replace(place)
    else:
        blob.path.replace(place)
