"""Weights that are pickles, which can run any code when they are read: refused unless allowed for that model."""

from collections.abc import Sequence

import msgspec

from universal_core import LoadFailed, ModelFile, ModelInfo
from universal_core.repositories import download
from universal_diffusion.files import Component, components_of, pickles_of
from universal_diffusion.options import DiffusionOptions


def with_pickles(info: ModelInfo, options: DiffusionOptions) -> tuple[ModelInfo, Sequence[Component]]:
    """Return a model with its components once all their weights are there; pickles are downloaded only here.

    Raises LoadFailed for pickles that are not allowed, and for weights that are missing.
    """
    components = components_of(info)
    lacking = _lacking(components)
    if lacking and options.allow_pickle and info.source.startswith("HuggingFace"):
        info = _fetched(info, lacking)
        components = components_of(info)
        lacking = _lacking(components)
    if (lacking or pickles_of(components)) and not options.allow_pickle:
        without = [each.name for each in components if each.needs_weights and _is_unsafe(each)]
        raise LoadFailed(
            f"{info.id} has no complete safetensors for {', '.join(without)}. Pickles (*.bin) are not read, because "
            "they can run any code: use a model with safetensors, or convert this one; if its files are pickles "
            "and you trust them, set allow_pickle = true in this model's options"
        )
    if lacking:
        raise LoadFailed(f"{info.id} has no complete weights for {', '.join(lacking)}: download it again")
    return info, components


def _lacking(components: Sequence[Component]) -> list[str]:
    return [each.name for each in components if each.needs_weights and each.weights is None]


def _is_unsafe(component: Component) -> bool:
    return component.weights is None or component.weights.pickled


def _fetched(info: ModelInfo, names: Sequence[str]) -> ModelInfo:
    """Return a model with the pickles of some components, downloaded beside its other files."""
    patterns = [f"{name}/*.{ending}" for name in names for ending in ("bin", "bin.index*.json")]
    folder = download(info.ref.name, info.revision, patterns)
    there = {file.name for file in info.files}
    paths = [(path, f"{name}/{path.name}") for name in names for path in sorted((folder / name).glob("*.bin*"))]
    files = tuple(ModelFile(name, path.stat().st_size) for path, name in paths if name not in there)
    return msgspec.structs.replace(info, path=str(folder), files=(*info.files, *files))
