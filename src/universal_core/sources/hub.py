"""The HuggingFace cache and hub: finds models there, and downloads just the files that a backend needs."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from universal_core.config import cache_folder, is_offline
from universal_core.errors import Forbidden, LoadFailed, ModelNotFound
from universal_core.hookspecs import hookimpl
from universal_core.models import Claim, ModelFile, ModelInfo, ModelRef, Progress
from universal_core.sources.documents import DOCUMENTS, describe_folder, read_document
from universal_core.sources.download import counting_bar

REPOSITORY = re.compile(r"^[A-Za-z0-9](?:[\w.-]{0,94}[\w])?(?:/[A-Za-z0-9_](?:[\w.-]{0,94}[\w])?)?$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_PART = re.compile(r"^(?P<stem>.*)-\d{5}-of-(?P<count>\d{5})(?P<suffix>\.\w+)$")


@hookimpl
def list_models() -> Iterator[ModelInfo]:
    """Yield every model of the cache that has a complete-looking snapshot."""
    for folder in sorted(cache_folder().glob("models--*")):
        name = folder.name.removeprefix("models--").replace("--", "/")
        snapshot = _snapshot(folder, None)
        if snapshot is not None:
            ref = ModelRef(text=name, name=name)
            yield describe_folder(snapshot, id=name, ref=ref, source="HuggingFace cache", revision=snapshot.name)


@hookimpl
def find_model(ref: ModelRef) -> ModelInfo | None:
    """Find a model in the cache without any network, else on the hub."""
    if ref.is_path or not REPOSITORY.match(ref.name) or ".." in ref.name or "--" in ref.name:
        return None
    cached = _find_cached(ref)
    if cached is not None and (is_offline() or _looks_whole(cached)):
        return cached
    return cached if is_offline() else _ask_hub(ref) or cached


def _folder_of(name: str) -> Path:
    return cache_folder() / f"models--{name.replace('/', '--')}"


def _find_cached(ref: ModelRef) -> ModelInfo | None:
    snapshot = _snapshot(_folder_of(ref.name), ref.revision)
    if snapshot is None:
        return None
    return describe_folder(snapshot, id=ref.text, ref=ref, source="HuggingFace cache", revision=snapshot.name)


def _snapshot(folder: Path, revision: str | None) -> Path | None:
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


WEIGHTS = ("*.safetensors", "*.gguf", "*.bin", "*.pt", "*.pth", "*.onnx")


def _looks_whole(info: ModelInfo) -> bool:
    """Whether the cache has weights of the variant that is meant, and every shard that an index or a name tells of.

    A claim's files are checked when fetched.
    """
    present = {file.name for file in info.files}
    for index in info.matching("*.index.json"):
        shards = (read_document(Path(info.path or "") / index.name) or {}).get("weight_map", {})
        folder = index.name.rpartition("/")[0]
        if any(f"{folder}/{shard}".lstrip("/") not in present for shard in shards.values()):
            return False
    meant = [file.name for file in info.matching(*WEIGHTS) if _is_variant(file.name, info.ref.variant)]
    return bool(meant) and all(part in present for name in meant for part in _parts_with(name))


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


def _ask_hub(ref: ModelRef) -> ModelInfo | None:
    from httpx2 import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        found = HfApi().model_info(ref.name, revision=ref.revision, files_metadata=True, timeout=_timeout())
    except GatedRepoError:
        raise Forbidden(_gated(ref.name), param="model") from None
    except RevisionNotFoundError:
        raise ModelNotFound(f"{ref.name} has no revision {ref.revision!r} on the hub", param="model") from None
    except RepositoryNotFoundError:
        return None
    except HfHubHTTPError as error:
        raise LoadFailed(f"the hub could not be asked for {ref.name}: {error}") from None
    except (HTTPError, OSError) as error:
        raise ModelNotFound(
            f"{ref.text} is not in the cache of this machine, and the hub cannot be reached ({_reason(error)})",
            param="model",
        ) from None
    files = tuple(ModelFile(file.rfilename, file.size or 0) for file in found.siblings or ())
    return ModelInfo(
        id=ref.text,
        ref=ref,
        source="HuggingFace hub",
        revision=found.sha,
        files=files,
        documents=_fetch_documents(ref, found.sha, {file.name for file in files}) | _told_by_hub(found),
        created=int(found.created_at.timestamp()) if found.created_at else 0,
    )


def _told_by_hub(found: Any) -> dict[str, Any]:
    """Return, as the document ``hub``, what the hub has read out of a GGUF repository's files and what it is for."""
    gguf = getattr(found, "gguf", None)
    if not isinstance(gguf, dict):
        return {}
    return {"hub": {"gguf": gguf, "pipeline_tag": found.pipeline_tag}}


def _timeout() -> float:
    return float(os.environ.get("UNIVERSAL_RUNTIME_HUB_TIMEOUT", "10"))


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _gated(name: str) -> str:
    if os.environ.get("HF_TOKEN"):
        return f"{name} is gated and this HF_TOKEN may not read it: ask for access on https://huggingface.co/{name}"
    return (
        f"{name} is private or gated: ask for access on https://huggingface.co/{name}, make a token at "
        "https://huggingface.co/settings/tokens and start the server with HF_TOKEN=hf_..."
    )


def _fetch_documents(ref: ModelRef, commit: str | None, present: set[str]) -> dict[str, Any]:
    from httpx2 import HTTPError
    from huggingface_hub import hf_hub_download

    documents = {}
    for name in DOCUMENTS:
        if name in present:
            try:
                path = hf_hub_download(ref.name, name, revision=commit)
            except (HTTPError, OSError) as error:
                if _status(error) in (401, 403):
                    raise Forbidden(_gated(ref.name), param="model") from None
                raise LoadFailed(f"{name} of {ref.name} could not be downloaded: {_reason(error)}") from None
            documents[name] = read_document(Path(path))
    return {name: document for name, document in documents.items() if document is not None}


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


@hookimpl
def fetch_model(info: ModelInfo, claim: Claim, report: Callable[[Progress], None]) -> ModelInfo | None:
    """Download the claim's files of a model on the hub; resumes what an earlier try left."""
    if info.source != "HuggingFace hub":
        return None
    from httpx2 import HTTPError
    from huggingface_hub import snapshot_download

    wanted = info.matching(*claim.files)
    bar = counting_bar(sum(file.size for file in wanted), report)
    try:
        path = snapshot_download(
            info.ref.name,
            revision=info.revision,
            allow_patterns=[file.name for file in wanted],
            tqdm_class=bar,
        )
    except (HTTPError, OSError) as error:
        if _status(error) in (401, 403):
            raise Forbidden(_gated(info.ref.name), param="model") from None
        raise LoadFailed(
            f"{info.ref.name} could not be downloaded: {_reason(error)}; the next try resumes it"
        ) from None
    _remember(info)
    return describe_folder(Path(path), id=info.id, ref=info.ref, source=info.source, revision=info.revision)


def _remember(info: ModelInfo) -> None:
    """Write down which commit the revision stands for, as the hub's client does when it downloads by name.

    Only now, when all files are there: the next look takes what it finds under the name for a whole model.
    """
    if info.revision is None or info.ref.revision == info.revision:
        return
    pointer = _folder_of(info.ref.name) / "refs" / (info.ref.revision or "main")
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.write_text(info.revision)
