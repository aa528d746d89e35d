"""Loading a pipeline that is one file, with the configuration that it was made with."""

from pathlib import Path
from typing import Any

import diffusers
import torch

from universal_core import LoadFailed, ModelInfo
from universal_core.repositories import find_files
from universal_diffusion.checkpoints import Checkpoint
from universal_diffusion.files import INDEX
from universal_diffusion.options import DiffusionOptions

_SMALL = ("*.json", "*/*.json", "*/*.txt", "*/*.model")


def load_checkpoint(info: ModelInfo, checkpoint: Checkpoint, options: DiffusionOptions, dtype: torch.dtype) -> Any:
    """Return the pipeline in one file, in RAM.

    Raises LoadFailed where its configuration is not at hand, ValueError for a file with holes.
    """
    folder = _configuration(info, checkpoint, options)
    settings: dict[str, Any] = diffusers.DiffusionPipeline.load_config(str(folder), local_files_only=True)
    name = str(settings.get("_class_name"))
    kind: Any = getattr(diffusers, name, None)
    if not hasattr(kind, "from_single_file"):
        raise LoadFailed(f"{info.id} is one file, which {name} in {folder / INDEX} cannot be loaded from")
    wanted: dict[str, Any] = {"config": str(folder), "local_files_only": True, "dtype": dtype}
    if "safety_checker" in settings and not options.safety_checker:
        wanted["safety_checker"] = None
    try:
        return kind.from_single_file(checkpoint.path, **wanted)
    except NotImplementedError as error:
        # What the file lacks has no values yet when diffusers changes the number format.
        raise ValueError(f"the file lacks some of the weights that {folder} tells of") from error


def _configuration(info: ModelInfo, checkpoint: Checkpoint, options: DiffusionOptions) -> Path:
    """Return the folder with the model_index.json that belongs to a checkpoint: configured, or beside it."""
    path = Path(checkpoint.path)
    places = [Path(options.config).expanduser()] if options.config else [path.parent, path.with_suffix("")]
    found = next((folder for folder in places if (folder / INDEX).is_file()), None)
    if found is None and options.config and options.config.count("/") == 1 and not places[0].exists():
        found = find_files(options.config, _SMALL)
    if found is None or not (found / INDEX).is_file():
        raise LoadFailed(
            f"{info.id} is one file, and its configuration is not at hand: put the {INDEX} and the folders of the "
            "model that it was made from beside it, or name their folder or repository as config in its options"
        )
    return found
