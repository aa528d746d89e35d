"""Repositories in a HuggingFace cache, laid out as the hub's client does it: blobs, snapshots of links, and refs."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from hub_server import commit_of


def cache_repository(cache: Path, name: str, files: Mapping[str, bytes], revision: str | None = "main") -> str:
    """Put files into the cache as a commit of a branch, or of none; return the commit."""
    folder = repository_folder(cache, name)
    commit = commit_of(files)
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    for file, data in files.items():
        blob = folder / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        entry = folder / "snapshots" / commit / file
        entry.parent.mkdir(parents=True, exist_ok=True)
        entry.symlink_to(os.path.relpath(blob, entry.parent))
    if revision is not None:
        pointer = folder / "refs" / revision
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.write_text(commit)
    return commit


def repository_folder(cache: Path, name: str) -> Path:
    """Return the folder of a repository in the cache."""
    return cache / f"models--{name.replace('/', '--')}"


def set_used(folder: Path, moment: int) -> None:
    """Let every file below a folder have been read last at a moment, in seconds since 1970."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (moment, 0))
