"""The HuggingFace cache and hub: finds models there, and downloads just the files that a backend needs."""

import errno
import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from universal_core.config import is_offline
from universal_core.errors import Forbidden, LoadFailed, ModelNotFound, UniversalError
from universal_core.hookspecs import hookimpl
from universal_core.models import Claim, ModelFile, ModelInfo, ModelRef, Progress
from universal_core.sources.cached import find_cached, is_whole, refuse_part
from universal_core.sources.documents import DOCUMENTS, describe_folder, read_document
from universal_core.sources.download import download, repository_folder
from universal_core.sources.patience import Patience, patiently, reason, retry_after, status_of
from universal_core.sources.space import disk_filled

REPOSITORY = re.compile(r"^[A-Za-z0-9](?:[\w.-]{0,94}[\w])?(?:/[A-Za-z0-9_](?:[\w.-]{0,94}[\w])?)?$")
HUB = "HuggingFace hub"
_LOOK_PATIENCE = 10.0


@hookimpl
def find_model(ref: ModelRef) -> ModelInfo | None:
    """Find a model in the cache without any network, else on the hub."""
    if ref.is_path or not REPOSITORY.match(ref.name) or ".." in ref.name or "--" in ref.name:
        return None
    cached = find_cached(ref)
    if cached is not None and is_whole(cached):
        return cached
    if is_offline():
        refuse_part(ref, cached, "the server is offline")
        return cached
    return _ask_hub(ref, cached) or cached


def _ask_hub(ref: ModelRef, cached: ModelInfo | None) -> ModelInfo | None:
    from httpx2 import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    ask = partial(HfApi().model_info, ref.name, revision=ref.revision, files_metadata=True, timeout=_timeout())
    try:
        found = patiently(ask, Patience(_LOOK_PATIENCE, network=False))
    except GatedRepoError:
        raise Forbidden(_gated(ref.name), param="model") from None
    except RevisionNotFoundError:
        raise ModelNotFound(f"{ref.name} has no revision {ref.revision!r} on the hub", param="model") from None
    except RepositoryNotFoundError:
        return None
    except HfHubHTTPError as error:
        raise LoadFailed(
            f"the hub could not be asked for {ref.name}: {reason(error)}", retry_after=retry_after(error)
        ) from None
    except (HTTPError, OSError) as error:
        refuse_part(ref, cached, f"the hub cannot be reached ({reason(error)})")
        raise ModelNotFound(
            f"{ref.text} is not in the cache of this machine, and the hub cannot be reached ({reason(error)})",
            param="model",
        ) from None
    info = ModelInfo(
        id=ref.text,
        ref=ref,
        source=HUB,
        revision=found.sha,
        files=tuple(ModelFile(file.rfilename, file.size or 0) for file in found.siblings or ()),
        created=int(found.created_at.timestamp()) if found.created_at else 0,
    )
    return _with_documents(info, _told_by_hub(found))


def _with_documents(info: ModelInfo, told: dict[str, Any]) -> ModelInfo:
    """Return the info with the small files that tell what the model is, fetched into the cache, and more documents."""
    from msgspec.structs import replace

    wanted = [file for file in info.files if file.name in DOCUMENTS]
    folder = _download(info, wanted, lambda progress: None)
    documents = {file.name: read_document(folder / file.name) for file in wanted}
    return replace(info, documents={name: found for name, found in documents.items() if found is not None} | told)


def _told_by_hub(found: Any) -> dict[str, Any]:
    """Return, as the document ``hub``, what the hub has read out of a GGUF repository's files and what it is for."""
    gguf = getattr(found, "gguf", None)
    if not isinstance(gguf, dict):
        return {}
    return {"hub": {"gguf": gguf, "pipeline_tag": found.pipeline_tag}}


def _timeout() -> float:
    return float(os.environ.get("UNIVERSAL_RUNTIME_HUB_TIMEOUT", "10"))


def _gated(name: str) -> str:
    if os.environ.get("HF_TOKEN"):
        return f"{name} is gated and this HF_TOKEN may not read it: ask for access on https://huggingface.co/{name}"
    return (
        f"{name} is private or gated: ask for access on https://huggingface.co/{name}, make a token at "
        "https://huggingface.co/settings/tokens and start the server with HF_TOKEN=hf_..."
    )


@hookimpl
def fetch_model(info: ModelInfo, claim: Claim, report: Callable[[Progress], None]) -> ModelInfo | None:
    """Download the claim's files of a model on the hub; resumes what an earlier try left."""
    if info.source != HUB:
        return None
    folder = _download(info, info.matching(*claim.files), report)
    _remember(info)
    return describe_folder(folder, id=info.id, ref=info.ref, source=info.source, revision=info.revision)


def _download(info: ModelInfo, files: Sequence[ModelFile], report: Callable[[Progress], None]) -> Path:
    from httpx2 import HTTPError

    try:
        return download(info, files, report)
    except (HTTPError, OSError) as error:
        raise _explained(info, error) from None


def _explained(info: ModelInfo, error: Exception) -> UniversalError:
    """Return the error that tells why a download failed, and what to do."""
    if status_of(error) in (401, 403):
        return Forbidden(_gated(info.ref.name), param="model")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_filled(info, repository_folder(info.ref.name))
    return LoadFailed(
        f"{info.ref.name} could not be downloaded: {reason(error)}; the next try goes on where this one stopped",
        retry_after=retry_after(error),
    )


def _remember(info: ModelInfo) -> None:
    """Write down which commit the revision stands for, as the hub's client does when it downloads by name.

    Only now, when all files are there: the next look takes what it finds under the name for a whole model.
    """
    if info.revision is None or info.ref.revision == info.revision:
        return
    pointer = repository_folder(info.ref.name) / "refs" / (info.ref.revision or "main")
    pointer.parent.mkdir(parents=True, exist_ok=True)
    half = pointer.with_name(f"{pointer.name}.incomplete")
    half.write_text(info.revision)
    half.replace(pointer)
