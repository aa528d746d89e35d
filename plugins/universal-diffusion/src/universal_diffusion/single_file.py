"""Checkpoints that are one file: known by the names of their tensors, loaded with a configuration from beside them."""

from pathlib import Path
from typing import Any

import diffusers
import torch

from universal_core import LoadFailed, ModelInfo
from universal_diffusion.checkpoints import checkpoint_of, path_of
from universal_diffusion.files import INDEX
from universal_diffusion.hub import download
from universal_diffusion.options import DiffusionOptions

_SMALL = ("*.json", "*/*.json", "*/*.txt", "*/*.model")


def checkpoint_in(info: ModelInfo) -> Path | None:
    """Return the one file of a model that is a checkpoint, None for a model in folders."""
    name = checkpoint_of(info)
    return path_of(info, name) if name else None


def load(info: ModelInfo, options: DiffusionOptions, dtype: torch.dtype) -> Any:
    """Return the pipeline in one file, in RAM. Raises LoadFailed where its configuration is not at hand."""
    path = checkpoint_in(info)
    assert path is not None
    folder = _configuration(info, path, options)
    settings: dict[str, Any] = diffusers.DiffusionPipeline.load_config(str(folder), local_files_only=True)
    kind = getattr(diffusers, str(settings.get("_class_name")), None)
    if not hasattr(kind, "from_single_file"):
        raise LoadFailed(f"{info.id}: {settings.get('_class_name')} cannot be loaded from one file")
    extra = {} if options.safety_checker else {"safety_checker": None}
    extra = extra if "safety_checker" in settings else {}
    return kind.from_single_file(str(path), config=str(folder), local_files_only=True, dtype=dtype, **extra)


def _configuration(info: ModelInfo, path: Path, options: DiffusionOptions) -> Path:
    """Return the folder with the model_index.json that belongs to a checkpoint."""
    beside = [Path(options.config).expanduser()] if options.config else [path.parent, path.with_suffix("")]
    found = next((folder for folder in beside if (folder / INDEX).is_file()), None)
    if found is None and options.config and not beside[0].exists() and options.config.count("/") == 1:
        found = download(options.config, None, _SMALL)
    if found is None or not (found / INDEX).is_file():
        raise LoadFailed(
            f"{info.id} is one file, and its configuration is not at hand: put the {INDEX} and the components' folders "
            f"of the model that it was made from beside it, or name their folder or repository as config in its options"
        )
    return found
