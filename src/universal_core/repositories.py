"""What the modules of models fetch from the hub beside a model's own files: adapters, and pickles that are allowed."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from universal_core.errors import LoadFailed, ModelNotFound
from universal_core.models import ModelRef


def find_place(place: str, patterns: Sequence[str]) -> Path:
    """Return the file or folder that a configuration names: by its path, else ``org/name[@revision]`` on the hub.

    Of a repository the files that match are fetched where they are not in the cache. Raises as ``download`` does.
    """
    path = Path(place).expanduser()
    if path.exists():
        return path
    ref = ModelRef.parse(place)
    if ref.is_path or ref.name.count("/") != 1 or ".." in ref.name:
        raise ModelNotFound(
            f"there is nothing at {place}: expected a folder or a file of this machine, or a repository of the hub as "
            "org/name"
        )
    return find_files(ref.name, patterns, ref.revision)


def find_files(repository: str, patterns: Sequence[str], revision: str | None = None) -> Path:
    """Return a folder with files of a repository that match: the cached one if it has any, without asking the hub.

    Raises as ``download`` does.
    """
    try:
        cached = Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return download(repository, revision, patterns)
    there = any(next(cached.glob(pattern), None) for pattern in patterns)
    return cached if there else download(repository, revision, patterns)


def download(repository: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """Return the folder with all files of a repository that match, downloaded where they are not in the cache.

    Raises ModelNotFound for a repository that does not exist or that cannot be asked for, LoadFailed for a download
    that broke off.
    """
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(patterns)))
    except RevisionNotFoundError:
        raise ModelNotFound(f"{repository} has no revision {revision!r} on the hub") from None
    except RepositoryNotFoundError:
        raise ModelNotFound(f"{repository} is neither in the cache of this machine nor on the hub") from None
    except LocalEntryNotFoundError:
        raise ModelNotFound(
            f"{repository} is not in the cache of this machine, and the hub cannot be asked: the server is "
            "offline, or the hub does not answer"
        ) from None
    except (HfHubHTTPError, OSError) as error:
        raise LoadFailed(f"{repository} could not be downloaded: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
