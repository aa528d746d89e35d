"""The kinds of models that the ``vision`` backend runs, told from config.json."""

from typing import Literal

from universal_core import ModelInfo
from universal_text.tables import class_in, type_in
from universal_vision.claiming import is_timm

Kind = Literal["classifier", "matcher", "extractor"]

_CLASSIFIERS = "MODEL_FOR_IMAGE_CLASSIFICATION"
_MATCHERS = "MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION"
_EXTRACTORS = "MODEL_FOR_IMAGE"

# Of the table of models of images, what reads videos, needs words, or has no vector for a picture as a whole.
_OTHERS = (
    "MODEL_FOR_DEPTH_ESTIMATION",
    "MODEL_FOR_IMAGE_TEXT_TO_TEXT",
    "MODEL_FOR_IMAGE_TO_IMAGE",
    "MODEL_FOR_OBJECT_DETECTION",
    "MODEL_FOR_VIDEO_CLASSIFICATION",
)
_NOT_RUN = {
    "Blip2ForImageTextRetrieval": "it has 32 vectors for a picture",
    "ImageGPTForImageClassification": "it reads colors",
    "ImageGPTModel": "it reads colors",
    "Llama4VisionModel": "it is a part of a chat model",
    "MllamaVisionModel": "it is a part of a chat model",
    "ShieldGemma2ForImageClassification": "it is asked in words",
    "TimmBackbone": "it answers with maps",
    "ViTMAEModel": "it covers random parts of a picture",
    "VideoPrismClipModel": "it reads videos",
    "VideoPrismVisionModel": "it reads videos",
    "VitDetModel": "it answers with a map",
}


def kind_of(info: ModelInfo) -> tuple[Kind, str] | None:
    """Return the kind of a model and the name of its class, None for a model that this backend does not run."""
    name = class_in(info, _MATCHERS)
    if name and name not in _NOT_RUN:
        return "matcher", name
    name = _classifier(info)
    if name and name not in _NOT_RUN:
        return "classifier", name
    name = _extractor(info)
    return ("extractor", name) if name and name not in _NOT_RUN else None


def embeds(info: ModelInfo) -> bool:
    """Say whether transformers has a model of images alone that makes vectors under a classifier of this type."""
    return type_in(info, _EXTRACTORS) and not type_in(info, *_OTHERS)


def _classifier(info: ModelInfo) -> str | None:
    if is_timm(info) and info.config.get("num_classes"):
        return "TimmWrapperForImageClassification"
    return class_in(info, _CLASSIFIERS) or _own_classifier(info)


def _own_classifier(info: ModelInfo) -> str | None:
    """Return the class of a classifier that brings its own code, which runs only where that is trusted."""
    own = info.config.get("auto_map")
    path = own.get("AutoModelForImageClassification") if isinstance(own, dict) else None
    return path.rpartition(".")[2] if isinstance(path, str) else None


def _extractor(info: ModelInfo) -> str | None:
    if is_timm(info):
        return "TimmWrapperModel"
    return class_in(info, _EXTRACTORS) if embeds(info) else None
