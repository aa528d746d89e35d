"""Loading a vision model and its image processor from local files, with errors that say what to do."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers import AutoImageProcessor, AutoTokenizer

from universal_core import LoadFailed, ModelInfo
from universal_core.pytorch import use_threads
from universal_text.loading import LoadOptions, be_quiet, explained, folder_of, from_folder, load_pretrained

Inputs = dict[str, Tensor]
"""What a model takes, by argument."""

_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
# Where timm's own configuration keeps this.
_TIMM = "pretrained_cfg"


class RunOptions(LoadOptions, Protocol):
    """The options of a backend that say how a model is loaded and run."""

    @property
    def threads(self) -> int | None:
        """How many threads compute."""


class Loaded(NamedTuple):
    """A model, the device that it is on, the number format that its inputs are to have, and the threads configured."""

    model: Any
    device: torch.device
    dtype: torch.dtype
    threads: int | None = None

    def joined(self, rows: Sequence[Inputs]) -> Inputs:
        """Return the inputs of several rows, alike in names and shapes, as the model takes them together.

        They are put together where they are computed, right before it: in as many threads as there are cores for now.
        """
        use_threads(self.threads)
        together = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
        return {
            name: values.to(self.device, self.dtype if values.is_floating_point() else None)
            for name, values in together.items()
        }


def load_model(
    info: ModelInfo, auto_class: Any, options: RunOptions, *, may_lack: Collection[str] = (), **wanted: Any
) -> Loaded:
    """Return what ``auto_class`` of transformers makes of a model's folder, ready to run with the threads configured.

    ``may_lack`` and ``wanted`` are those of ``load_pretrained``. Raises LoadFailed.
    """
    use_threads(options.threads)
    model = load_pretrained(info, auto_class, options, may_lack=may_lack, **wanted).requires_grad_(False)
    return Loaded(model, model.device, model.dtype, options.threads)


def load_image_processor(info: ModelInfo, options: LoadOptions, **wanted: Any) -> Any:
    """Return what resizes and normalizes pictures for a model; raises LoadFailed where nothing says how.

    ``wanted`` are settings in place of those in the model's files. It works on Pillow's pictures, and through
    torchvision where that is installed.
    """
    folder = folder_of(info, options)
    # Guessed numbers would be worse than none: answers would be wrong, and nobody would know.
    if not any(file.name in _PROCESSORS for file in info.files) and _TIMM not in info.config:
        raise LoadFailed(
            f"{info.id} has no preprocessor_config.json, which says how its pictures are resized and normalized; "
            "put the one of the model that it was made from beside its config.json"
        )
    be_quiet()
    with explained(info):
        load: Any = AutoImageProcessor.from_pretrained  # the library has no types here
        return load(folder, **from_folder(options), **wanted)


def load_tokenizer(info: ModelInfo, options: LoadOptions) -> Any:
    """Return the tokenizer of a model that reads words too; raises LoadFailed."""
    be_quiet()
    with explained(info):
        return AutoTokenizer.from_pretrained(folder_of(info, options), **from_folder(options))
