"""What is fetched from the hub beside a model's own files: adapters, and pickles that are allowed."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from universal_core import LoadFailed, ModelNotFound


def find_files(repository: str, patterns: Sequence[str]) -> Path:
    """Return a folder with files of a repository that match: the cached one if it has any, without asking the hub.

    Raises as ``download`` does.
    """
    try:
        cached = Path(snapshot_download(repository, local_files_only=True))
    except LocalEntryNotFoundError:
        return download(repository, None, patterns)
    there = any(next(cached.glob(pattern), None) for pattern in patterns)
    return cached if there else download(repository, None, patterns)


def download(repository: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """Return the folder with all files of a repository that match, downloaded where they are not in the cache.

    Raises ModelNotFound for a repository that does not exist or that cannot be asked for, LoadFailed for a download
    that broke off.
    """
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(patterns)))
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
