"""The kinds of models that the ``vision-regions`` backend runs, told from config.json."""

from typing import NamedTuple

from universal_core import ModelInfo
from universal_text.tables import class_in, type_in

_DETECTORS = "MODEL_FOR_OBJECT_DETECTION"
_OPEN_DETECTORS = "MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION"
_KIND_SEGMENTERS = "MODEL_FOR_SEMANTIC_SEGMENTATION"
_SEGMENTERS = (
    _KIND_SEGMENTERS,
    "MODEL_FOR_INSTANCE_SEGMENTATION",
    "MODEL_FOR_UNIVERSAL_SEGMENTATION",
    "MODEL_FOR_IMAGE_SEGMENTATION",
)
_DEPTH_ESTIMATORS = "MODEL_FOR_DEPTH_ESTIMATION"

# It makes masks of what words describe, for which transformers has no table.
_OPEN_SEGMENTER = "CLIPSegForImageSegmentation"

_NOT_RUN = {
    "OmDetTurboForObjectDetection": "which of its boxes are told is decided by torchvision",
    "VideomtForUniversalSegmentation": "it reads videos",
}


class Kind(NamedTuple):
    """What a model does: the name of its class, its tasks, and which fields of a request it honours.

    ``open`` ones look for what the request describes; ``scored`` segmenters say how sure they are of a mask.
    """

    name: str
    tasks: tuple[str, ...]
    open: bool = False
    scored: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields honoured beyond the basic ones."""
        return (*(("labels",) if self.open else ()), *(("threshold",) if self.scored else ()))


def kind_of(info: ModelInfo) -> Kind | None:
    """Return the kind of a model, None for a model that this backend does not run."""
    if set(info.architectures) & _NOT_RUN.keys():
        return None
    if name := class_in(info, _OPEN_DETECTORS):
        return Kind(name, ("detect",), open=True)
    if name := class_in(info, _DETECTORS):
        return Kind(name, ("detect",))
    if name := class_in(info, _DEPTH_ESTIMATORS):
        return Kind(name, ("estimate_depth",))
    if name := class_in(info, *_SEGMENTERS):
        # A model that makes masks of the boxes that it finds is of a type that has a class for boxes alone.
        tasks = ("detect", "segment") if type_in(info, _DETECTORS) else ("segment",)
        return Kind(name, tasks, scored=class_in(info, _KIND_SEGMENTERS) is None)
    if _OPEN_SEGMENTER in info.architectures:
        return Kind(_OPEN_SEGMENTER, ("segment",), open=True, scored=True)
    return None
