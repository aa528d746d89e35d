"""DELETE /v1/models/{id}."""

import asyncio
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.adapters import find_adapted
from universal_core.config import Config
from universal_core.entry import Entry
from universal_core.errors import BadRequest, Forbidden, ModelInUse, ModelNotFound
from universal_core.hookspecs import hookimpl
from universal_core.http import answer, note, runtime_of
from universal_core.models import Claim, ModelInfo, ModelRef
from universal_core.runtime import Runtime


class DeletedModel(msgspec.Struct, frozen=True, kw_only=True):
    """OpenAI's answer, and the bytes of disk that are free again."""

    id: str
    object: Literal["model"] = "model"
    deleted: bool = True
    freed_bytes: int


async def delete_model(request: Request) -> Response:
    """Delete a model's files: all of a repository, one revision, or one quantization."""
    runtime, name = runtime_of(request), request.path_params["model"]
    note(request, model=name)
    _refuse_configured(runtime.config, name)
    ref = runtime.plugins.expand(ModelRef.parse(name))
    freed = await _delete(runtime, name, ref)
    runtime.router.forget()
    return answer(DeletedModel(id=name, freed_bytes=freed))


async def _delete(runtime: Runtime, name: str, ref: ModelRef) -> int:
    listed = await asyncio.to_thread(lambda: [info for info in _listed(runtime) if _is_meant(info, ref)])
    ref, files = await asyncio.to_thread(_narrow, runtime, name, ref, listed)
    delete = await asyncio.to_thread(runtime.plugins.deletion, ref, files)
    if delete is None:
        raise await asyncio.to_thread(_refusal, runtime, name, listed)
    _refuse_downloading(runtime, name, ref, files)
    await _unload(runtime, name, ref, files, listed)
    return await asyncio.to_thread(delete)


def _refuse_configured(config: Config, name: str) -> None:
    entry = config.model.get(name)
    if find_adapted(config, name) is not None:
        raise Forbidden(
            f"{name} is an adapter of the configuration: take it out of there, and remove its file yourself",
            param="model",
        )
    if entry is not None and entry.model not in (None, name):
        raise Forbidden(
            f"{name} is the configuration's name for {entry.model}: take [model.{name}] out of there, or delete "
            f"{entry.model} itself",
            param="model",
        )


def _listed(runtime: Runtime) -> Iterator[ModelInfo]:
    for _, found in runtime.plugins.ask_each("list_models"):
        yield from found or ()


def _is_meant(info: ModelInfo, ref: ModelRef) -> bool:
    """Whether a model of a list is the one of this name, at this revision where one is named."""
    revisions = (info.revision, info.ref.revision or "main")
    return info.ref.name == ref.name and (ref.revision is None or ref.revision in revisions)


def _narrow(runtime: Runtime, name: str, ref: ModelRef, listed: list[ModelInfo]) -> tuple[ModelRef, tuple[str, ...]]:
    """Return what a name with a variant means: the files of that variant, or the revision, where it is the only one.

    No files stand for all. Raises ModelNotFound and BadRequest for a variant that cannot be told from the rest.
    """
    if ref.variant is None or ref.is_path:
        return ref, ()
    if not listed:
        raise _not_found(runtime, name)
    info = msgspec.structs.replace(listed[0], ref=ref)
    claim = next((claim for claim in runtime.router.claims(info) if claim.variants), None)
    if claim is None:
        raise BadRequest(
            f"{ref.name} has no variants that can be deleted by themselves: DELETE /v1/models/{ref.name} deletes all",
            param="model",
        )
    needed = {file.name for file in info.matching(*claim.files)}
    every = {file for variant in claim.variants for file in variant.files}
    if every <= needed:
        return msgspec.structs.replace(ref, variant=None, revision=info.revision), ()
    return ref, tuple(sorted(every & needed))


def _refusal(runtime: Runtime, name: str, listed: list[ModelInfo]) -> Exception:
    """Return the error for a model of which no source has anything to delete."""
    if not listed:
        return _not_found(runtime, name)
    return Forbidden(
        f"{name} comes with {listed[0].source}, and only what was downloaded into the HuggingFace cache is deleted "
        "here: uninstall what it comes with instead",
        param="model",
    )


def _not_found(runtime: Runtime, name: str) -> ModelNotFound:
    return ModelNotFound(f"model {name!r} is not on this machine{runtime.router.near(name)}", param="model")


def _refuse_downloading(runtime: Runtime, name: str, ref: ModelRef, files: Iterable[str]) -> None:
    for download in runtime.pool.downloads.active:
        if download.info.ref.name == ref.name and _is_needed(download.claim, files):
            raise ModelInUse(
                f"{name} is being downloaded ({download.progress}): call the download off, or wait for its end",
                param="model",
            )


async def _unload(
    runtime: Runtime, name: str, ref: ModelRef, files: tuple[str, ...], listed: Iterable[ModelInfo]
) -> None:
    """Unload what is in memory of the files that are to go. Raises ModelInUse where some of it is at work."""
    commits = {ref.revision, *(info.revision for info in listed)}
    found = [
        entry
        for entry in runtime.pool.entries.values()
        if entry.info.ref.name == ref.name
        and not entry.info.ref.is_path
        and (ref.revision is None or entry.info.revision in commits)
        and _is_needed(entry.plan.claim, files)
    ]
    for entry in found:
        if not entry.idle:
            raise ModelInUse(_in_use(name, entry), param="model")
    for loaded in {entry.plan.name for entry in found}:
        await runtime.pool.unload(loaded, "its files are deleted")


def _in_use(name: str, entry: Entry) -> str:
    what = "is being loaded" if entry.state == "loading" else f"answers {entry.users} requests"
    return (
        f"{name} is in use: {entry.plan.name} {what}. Unload it first (POST /v1/models/unload), or delete it when it "
        "is idle"
    )


def _is_needed(claim: Claim, files: Iterable[str]) -> bool:
    """Whether a claim is to some of these files, or, where there are none, at all."""
    return not files or any(fnmatchcase(file, pattern) for file in files for pattern in claim.files)


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint."""
    return [Route("/v1/models/{model:path}", delete_model, methods=["DELETE"])]
