"""The processor of a model: its tokenizer and its image processor, ready to be called together."""

from typing import Any, ClassVar, Self

from transformers import AutoProcessor
from transformers.image_processing_base import ImageProcessingMixin
from transformers.models.auto.video_processing_auto import get_video_processor_config
from transformers.processing_utils import MODALITY_TO_AUTOPROCESSOR_MAPPING, MODALITY_TO_BASE_CLASS_MAPPING
from transformers.utils.import_utils import is_torchvision_available

from universal_core import LoadFailed, ModelInfo
from universal_text.loading import be_quiet, explained

_VIDEO = "video_processor"


class AbsentVideoProcessor(ImageProcessingMixin):
    """Stands where a processor has its part for videos, which needs torchvision; it has that part's settings."""

    model_input_names: ClassVar[list[str]] = ["pixel_values_videos"]

    # Only processors call it, with the folder of the model first.
    @classmethod
    def from_pretrained(cls, path: str, *_: Any, **__: Any) -> Self:  # type: ignore[override]
        """Return the part with the settings that a model's files have for it."""
        return cls(**get_video_processor_config(path, local_files_only=True))

    def __getattr__(self, name: str) -> None:
        # Processors look at settings of videos when they are made and when they write a chat without any.
        if name.startswith("_"):
            raise AttributeError(name)

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Refuse what only torchvision can do. Raises ImportError."""
        raise ImportError("videos are read with torchvision, which is not installed")


def load_processor(info: ModelInfo, trust_remote_code: bool = False) -> Any:
    """Return the model's processor, with or without torchvision, without a look at the network. Raises LoadFailed."""
    if info.path is None:
        raise LoadFailed(f"the files of {info.id} are not on this machine")
    do_without_videos()
    be_quiet()
    with explained(info):
        return AutoProcessor.from_pretrained(  # type: ignore[no-untyped-call]
            info.path, local_files_only=True, trust_remote_code=trust_remote_code
        )


def do_without_videos() -> None:
    """Let transformers make processors with a part for videos where that part cannot be made.

    Without torchvision it refuses the whole processor, pictures and text included
    (ProcessorMixin._get_arguments_from_pretrained looks the parts up in these two tables). With torchvision nothing
    changes.
    """
    if is_torchvision_available():
        return
    # The names of a class property of the table; the table itself imports them when they are asked for.
    names = type(MODALITY_TO_AUTOPROCESSOR_MAPPING)._MAPPING_NAMES
    names[_VIDEO] = (AbsentVideoProcessor.__module__, AbsentVideoProcessor.__name__)
    MODALITY_TO_BASE_CLASS_MAPPING[_VIDEO] = ImageProcessingMixin.__name__
