"""What the HuggingFace cache has of a model, and whether that is all of it."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from universal_core.errors import ModelNotFound
from universal_core.models import ModelInfo, ModelRef
from universal_core.sources.documents import describe_folder, read_document
from universal_core.sources.download import WEIGHTS, repository_folder

_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_PART = re.compile(r"^(?P<stem>.*)-\d{5}-of-(?P<count>\d{5})(?P<suffix>\.\w+)$")


def find_cached(ref: ModelRef) -> ModelInfo | None:
    """Return what the cache has of a model, whole or not."""
    snapshot = _find_snapshot(repository_folder(ref.name), ref.revision)
    if snapshot is None:
        return None
    return describe_folder(snapshot, id=ref.text, ref=ref, source="HuggingFace cache", revision=snapshot.name)


def _find_snapshot(folder: Path, revision: str | None) -> Path | None:
    """Return the cached files of a revision (a branch, tag or commit), the main branch by default."""
    pointer = folder / "refs" / (revision or "main")
    try:
        commit = pointer.read_text().strip()
    except OSError:
        commit = revision or ""
    found = folder / "snapshots" / commit
    if _COMMIT.match(commit) and found.is_dir():
        return found
    return None


def is_whole(info: ModelInfo) -> bool:
    """Whether the cache has weights of the variant that is meant, and every shard that an index or a name tells of.

    Weights get their names last, so what else a download brought is there too.
    """
    return bool(_meant(info)) and not _lacking(info)


def refuse_part(ref: ModelRef, cached: ModelInfo | None, why: str) -> None:
    """Raise ModelNotFound where the cache has a part of a model, and ``why`` the rest cannot be fetched."""
    if cached is None:
        folder = repository_folder(ref.name)
        if ref.revision is not None or not any((folder / "blobs").glob("*")):
            return
        what = "its download did not finish"
    else:
        lacking = _lacking(cached) or ["its weights"]
        if not _meant(cached) and not any((repository_folder(ref.name) / "blobs").glob("*.incomplete")):
            return
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        what = f"{', '.join(lacking[:3])}{more} missing"
    raise ModelNotFound(
        f"the cache of this machine has a part of {ref.text} only ({what}), and {why}; "
        "once the hub can be asked, the next try fetches what is missing",
        param="model",
    )


def _meant(info: ModelInfo) -> list[str]:
    return [file.name for file in info.matching(*WEIGHTS) if _is_variant(file.name, info.ref.variant)]


def _lacking(info: ModelInfo) -> list[str]:
    """Return the files that indexes and names of parts tell of and that are not there."""
    present = {file.name for file in info.files}
    lacking = dict.fromkeys(name for name in _meant(info) for name in _parts_with(name) if name not in present)
    for shardings in _indexed(info).values():
        gaps = [[shard for shard in shards if shard not in present] for shards in shardings]
        if all(gaps) and not _others(info, shardings):
            fewest = min(gaps, key=len)
            lacking |= dict.fromkeys(fewest)
    return list(lacking)


def _indexed(info: ModelInfo) -> dict[str, list[set[str]]]:
    """Return by folder the shards that each index there names: one for .safetensors, another for .bin, and so on."""
    found = defaultdict(list)
    for index in info.matching("*.index.json"):
        shards = (read_document(Path(info.path or "") / index.name) or {}).get("weight_map", {})
        folder = index.name.rpartition("/")[0]
        if shards:
            found[folder].append({f"{folder}/{shard}".lstrip("/") for shard in shards.values()})
    return found


def _others(info: ModelInfo, shardings: list[set[str]]) -> bool:
    """Whether a folder has, beside all shards, weights that no index names: they are whole by themselves."""
    shards = set().union(*shardings)
    folder = next(iter(shards)).rpartition("/")[0]
    return any(
        file.name not in shards and file.name.rpartition("/")[0] == folder and not _PART.match(file.name)
        for file in info.matching(*WEIGHTS)
    )


def _is_variant(name: str, variant: str | None) -> bool:
    """Whether a file's name contains the variant as a word of its own: a BF16 is no F16, a Q4_K_M no Q4_K."""
    if variant is None:
        return True
    words = "[-_]".join(map(re.escape, re.split("[-_]", variant)))
    return bool(re.search(rf"(?<![A-Za-z0-9]){words}(?![A-Za-z0-9])(?!_[A-Za-z0-9])", name, re.IGNORECASE))


def _parts_with(name: str) -> Iterator[str]:
    """Yield the names of all parts of the model that a file is a part of; nothing for a file that is no part."""
    if found := _PART.match(name):
        for number in range(1, int(found["count"]) + 1):
            yield f"{found['stem']}-{number:05d}-of-{found['count']}{found['suffix']}"
