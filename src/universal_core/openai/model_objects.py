"""What is told of a model in lists: OpenAI's fields, and what is known of it on this machine."""

import logging
from typing import Literal

import msgspec

from universal_core.adapters import is_pinned
from universal_core.config import ModelConfig
from universal_core.entry import Entry
from universal_core.errors import UniversalError
from universal_core.models import Claim, ModelInfo
from universal_core.runtime import Runtime
from universal_core.uses import last_use

log = logging.getLogger(__name__)

State = Literal["ready", "loading", "downloading", "cached", "configured", "incomplete", "remote"]


class ModelObject(msgspec.Struct, kw_only=True):
    """A model as OpenAI lists it, and what is known of it here."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "universal"
    state: str
    tasks: tuple[str, ...] = ()
    backend: str | None = None
    size_bytes: int = 0
    last_used: int | None = None
    quantizations: tuple[str, ...] = ()
    revision: str | None = None
    pinned: bool = False
    parent: str | msgspec.UnsetType = msgspec.UNSET
    """Of an adapter, the model that it stands over."""


class ModelList(msgspec.Struct):
    """OpenAI's list of models."""

    data: list[ModelObject]
    object: Literal["list"] = "list"


def describe(
    runtime: Runtime, name: str, info: ModelInfo | None, entry: ModelConfig | None, base: str | None = None
) -> ModelObject:
    """Return what is told of a model; of an adapter, that of its ``base``. Reads disks."""
    loaded = [item for item in list(runtime.pool.entries.values()) if item.plan.name == (base or name)]
    found = ModelObject(
        id=name,
        parent=base or msgspec.UNSET,
        state=_state(runtime, info, entry, loaded),
        pinned=is_pinned(runtime.config, base or name),
    )
    if info is not None:
        _add_info(found, info)
        claims = _claims(runtime, info, entry)
        found.backend = claims[0].backend if claims else None
        found.tasks = tuple(dict.fromkeys(task for claim in claims for task in claim.tasks))
        if info.path is not None:
            found.quantizations = tuple(dict.fromkeys(variant.name for claim in claims for variant in claim.variants))
    if loaded:
        found.backend = loaded[0].plan.claim.backend
        found.tasks = tuple(dict.fromkeys(task for item in loaded for task in item.plan.claim.tasks))
        found.last_used = max(found.last_used or 0, *(int(last_use(item)) for item in loaded))
    return found


def _add_info(found: ModelObject, info: ModelInfo) -> None:
    owner = info.ref.name.rpartition("/")[0]
    found.owned_by = owner if owner and not info.ref.is_path else "local" if info.ref.is_path else "universal"
    found.created, found.revision = info.created, info.revision
    found.size_bytes = info.on_disk.size if info.on_disk else info.size_of("*")
    found.last_used = info.on_disk.used if info.on_disk else None


def _claims(runtime: Runtime, info: ModelInfo, entry: ModelConfig | None) -> list[Claim]:
    """Return every claim to a model in a list; a refusal is for those who ask for the model itself."""
    try:
        return runtime.router.claims(info, entry)
    except UniversalError as error:
        log.debug("%s is listed without its tasks: %s", info.id, error.message)
        return []


def _state(runtime: Runtime, info: ModelInfo | None, entry: ModelConfig | None, loaded: list[Entry]) -> State:
    if loaded and loaded[0].state == "ready":
        return "ready"
    if info is not None and _is_downloading(runtime, info):
        return "downloading"
    if loaded:
        return "loading"
    if entry is not None:
        return "configured"
    if info is not None and info.path is None:
        return "remote"
    return "cached" if info is None or is_here(info) else "incomplete"


def _is_downloading(runtime: Runtime, info: ModelInfo) -> bool:
    """Whether a model's files are on their way; those of another variant are where this one is whole."""
    under_way = [download.info for download in runtime.pool.downloads.active]
    return any(info.id == other.id or (info.ref.name == other.ref.name and not is_here(info)) for other in under_way)


def is_here(info: ModelInfo) -> bool:
    """Whether a model's files are on this machine, and not a part of them only."""
    return info.path is not None and (info.on_disk is None or info.on_disk.whole)
