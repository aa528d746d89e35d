"""What is in the HuggingFace cache of this machine: all of its models, whole or not, and how they are deleted."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from universal_core.config import cache_folder
from universal_core.errors import BadRequest, Forbidden, ModelNotFound
from universal_core.hookspecs import hookimpl
from universal_core.models import ModelInfo, ModelRef, OnDisk
from universal_core.sources.cached import is_whole
from universal_core.sources.documents import describe_folder, on_disk

if TYPE_CHECKING:
    from huggingface_hub import CachedRepoInfo, CachedRevisionInfo, DeleteCacheStrategy, HFCacheInfo

SOURCE = "HuggingFace cache"
_PREFIX = "models--"
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


@hookimpl
def list_models() -> Iterator[ModelInfo]:
    """Yield every model of the cache, and each further branch or tag of it that is there; the hub is not asked."""
    for folder in sorted(cache_folder().glob(f"{_PREFIX}*")):
        yield from _models_of(folder, folder.name.removeprefix(_PREFIX).replace("--", "/"))


def _models_of(folder: Path, name: str) -> Iterator[ModelInfo]:
    """Yield what a repository's folder has: its branches and tags, else what can be told of the files themselves."""
    snapshots = {path.name: path for path in folder.glob("snapshots/*") if _COMMIT.match(path.name) and path.is_dir()}
    refs = {ref: snapshots[commit] for ref, commit in _refs(folder).items() if commit in snapshots}
    for ref, snapshot in sorted(refs.items()):
        if ref == "main" or snapshot != refs.get("main"):
            yield _describe(folder, snapshot, name if ref == "main" else f"{name}@{ref}")
    if not refs:
        yield from _unnamed(folder, name, list(snapshots.values()))


def _unnamed(folder: Path, name: str, snapshots: list[Path]) -> Iterator[ModelInfo]:
    """Yield what is there of a repository without a branch: who downloads by commit names none, nor who is cut off."""
    latest = max(snapshots, key=lambda path: path.stat().st_mtime, default=None)
    if latest is not None:
        found = _describe(folder, latest, f"{name}@{latest.name}")
        yield found if found.on_disk is not None and found.on_disk.whole else _describe(folder, latest, name)
    elif any(folder.glob("blobs/*")):
        yield ModelInfo(id=name, ref=ModelRef.parse(name), source=SOURCE, path=str(folder), on_disk=_part(folder))


def _refs(folder: Path) -> dict[str, str]:
    """Return the commits of the branches and tags that are written down."""
    root = folder / "refs"
    return {
        path.relative_to(root).as_posix(): path.read_text("utf-8").strip() for path in root.rglob("*") if path.is_file()
    }


def _describe(folder: Path, snapshot: Path, id: str) -> ModelInfo:
    ref = ModelRef.parse(id)
    info = describe_folder(snapshot, id=id, ref=ref, source=SOURCE, revision=snapshot.name)
    # A pipeline has weights in each of its folders, so that some of them tell nothing of the others.
    cut_off = "model_index.json" in info.documents and any(folder.glob("blobs/*.incomplete"))
    if is_whole(info) and not cut_off:
        return info
    return msgspec.structs.replace(info, on_disk=_part(folder))


def _part(folder: Path) -> OnDisk:
    """Return what a download has brought so far, files that have no name yet among them."""
    taken = on_disk(path.stat() for path in folder.glob("blobs/*") if path.is_file())
    return msgspec.structs.replace(taken, whole=False)


@hookimpl
def delete_model(ref: ModelRef, files: tuple[str, ...]) -> Callable[[], int] | None:
    """Return what deletes a repository, one of its revisions, or some of its files. Raises as ``_plan`` does.

    Names are compared with what is in the cache, and never made to paths.
    """
    wanted = f"{_PREFIX}{ref.name.replace('/', '--')}"
    cache = cache_folder().resolve()
    folder = next((path for path in cache.glob(f"{_PREFIX}*") if path.name == wanted), None)
    if folder is None or ref.is_path or "--" in ref.name:
        return None
    return partial(_delete, _plan(cache, folder, ref, files), folder, ref.name)


def _plan(cache: Path, folder: Path, ref: ModelRef, files: tuple[str, ...]) -> "DeleteCacheStrategy":
    """Return what is to be deleted. Raises ModelNotFound, BadRequest, and Forbidden for what must not be touched."""
    from huggingface_hub import DeleteCacheStrategy, scan_cache_dir

    if folder.is_symlink():
        raise Forbidden(f"{ref.name} is only a link in the cache, to files elsewhere: remove the link", param="model")
    none: frozenset[Path] = frozenset()
    plan = DeleteCacheStrategy(0, blobs=none, refs=none, repos=frozenset([folder]), snapshots=none, cache_dir=cache)
    if ref.revision is not None or files:
        scan = scan_cache_dir(cache)
        repository = next((found for found in scan.repos if found.repo_path == folder), None)
        if repository is None:
            raise BadRequest(
                f"the cache of {ref.name} is damaged, so that no part of it can be told from the others; DELETE "
                f"/v1/models/{ref.name} deletes all of it",
                param="model",
            )
        plan = _plan_part(scan, repository, _revisions(repository, ref), files)
    _refuse_outside(plan, folder, ref.name)
    _refuse_read_only(folder, ref.name)
    return replace(plan, blobs=frozenset(blob for blob in plan.blobs if _is_inside(blob, folder)))


def _revisions(repository: "CachedRepoInfo", ref: ModelRef) -> list["CachedRevisionInfo"]:
    """Return the revisions that are meant, all where none is named. Raises ModelNotFound."""
    meant = [
        revision
        for revision in repository.revisions
        if ref.revision in (None, revision.commit_hash) or ref.revision in revision.refs
    ]
    if not meant:
        there = sorted(name for found in repository.revisions for name in found.refs or {found.commit_hash})
        raise ModelNotFound(
            f"{ref.name} has no revision {ref.revision!r} on this machine; it has {', '.join(there) or 'none'}",
            param="model",
        )
    return meant


def _plan_part(
    scan: "HFCacheInfo", repository: "CachedRepoInfo", revisions: list["CachedRevisionInfo"], files: tuple[str, ...]
) -> "DeleteCacheStrategy":
    if not files:
        return scan.delete_revisions(*(revision.commit_hash for revision in revisions))
    return scan.delete_files(
        *(
            file
            for revision in revisions
            for file in revision.files
            if file.file_path.relative_to(revision.snapshot_path).as_posix() in files
        )
    )


def _refuse_outside(plan: "DeleteCacheStrategy", folder: Path, name: str) -> None:
    """Raise Forbidden where a folder of the repository is a link, so that what is to be deleted lies elsewhere."""
    paths = [*plan.repos, *plan.snapshots, *plan.refs, *plan.files]
    if not all(path == folder or _is_inside(path, folder) for path in paths):
        raise Forbidden(
            f"the cache of {name} has links to folders elsewhere, where nothing is deleted: DELETE /v1/models/{name} "
            "deletes all of it but what they lead to",
            param="model",
        )


def _is_inside(path: Path, folder: Path) -> bool:
    return path.parent.resolve().is_relative_to(folder)


def _refuse_read_only(folder: Path, name: str) -> None:
    places = [folder.parent, *(Path(place) for place, _, _ in os.walk(folder))]
    if not all(os.access(place, os.W_OK | os.X_OK) for place in places):
        raise _read_only(name)


def _read_only(name: str) -> Forbidden:
    return Forbidden(
        f"{name} cannot be deleted: the server may not write in the HuggingFace cache (HF_HUB_CACHE, or HF_HOME), or "
        "not in all of its folders; delete it as the user that it belongs to, with `hf cache rm`",
        param="model",
    )


def _delete(plan: "DeleteCacheStrategy", folder: Path, name: str) -> int:
    before = _taken(folder)
    try:
        plan.execute()
        _remove_empty({path.parent for path in plan.files}, folder / "snapshots")
    except OSError:
        raise _read_only(name) from None
    # The library only logs what it may not delete.
    left = [path for path in (*plan.repos, *plan.snapshots, *plan.files, *plan.blobs) if os.path.lexists(path)]
    if left:
        raise _read_only(name)
    return before - _taken(folder)


def _taken(folder: Path) -> int:
    """Return the bytes of all files in a repository's folder, and of those that repositories share; links are none."""
    sizes = {}
    for root in (folder, folder.parent / "blobs"):
        for place, _, names in os.walk(root):
            for name in names:
                status = Path(place, name).lstat()
                if stat.S_ISREG(status.st_mode):
                    sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())


def _remove_empty(folders: set[Path], top: Path) -> None:
    """Remove the folders in which nothing is left, and those above them, below a snapshot's own."""
    for folder in folders:
        while folder.is_relative_to(top) and folder.parent != top and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
