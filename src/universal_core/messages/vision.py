"""Looking at pictures: requests and results of the tasks of vision models.

Pictures are files of any format, as they came: the model decodes them (``universal_core.pictures``). Whatever is wrong
with one is a BadRequest whose ``param`` and first word are its place in the request: ``images[3]``, ``image``, or of an
EmbedImageRequest ``input[3]``. Labels of the request are ``candidate_labels[3]``. A request of several pictures fails
as a whole, and alone: those that were batched with it are answered.

``usage.prompt_tokens`` counts the tokens of texts and the patches of pictures that the model reads; pictures count
nothing in a model that cuts them into none.
"""

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from universal_core.messages.classification import Prediction
from universal_core.messages.message import Request, Result, Usage

if TYPE_CHECKING:
    TextOrImage = str | bytes
else:
    # msgpack tells texts from bytes by itself, and msgspec has no union of them.
    TextOrImage = Any


class ClassifyImageRequest(Request, frozen=True, kw_only=True):
    """Say which of the model's own labels fit each picture best (task ``classify_image``)."""

    basic: ClassVar[frozenset[str]] = frozenset({"images", "top_k"})

    images: tuple[bytes, ...]
    top_k: int = 5


class MatchLabelsRequest(Request, frozen=True, kw_only=True):
    """Say how well each of the request's labels fits each picture (task ``match_labels``).

    ``hypothesis_template`` has ``{}`` once, to be replaced by a label; its other braces are braces. None means the
    model's own.
    """

    basic: ClassVar[frozenset[str]] = frozenset({"images", "labels", "hypothesis_template"})

    images: tuple[bytes, ...]
    labels: tuple[str, ...]
    hypothesis_template: str | None = None


class PredictionsResult(Result, frozen=True, kw_only=True):
    """The labels of each picture, the likeliest first."""

    images: tuple[tuple[Prediction, ...], ...]
    usage: Usage


class EmbedImageRequest(Request, frozen=True, kw_only=True):
    """Turn each input, a picture or a text, into a vector of one space (task ``embed_image``).

    The answer is an EmbedResult. A model that knows pictures alone refuses texts. ``dimensions`` cuts the vectors.
    """

    basic: ClassVar[frozenset[str]] = frozenset({"input", "normalize"})

    input: tuple[TextOrImage, ...]
    dimensions: int | None = None
    normalize: bool = True


class DetectRequest(Request, frozen=True, kw_only=True):
    """Find things in pictures (task ``detect``): of the kinds that the model knows, or that ``labels`` describe.

    ``threshold`` is the least score of what is told, None the model's own.
    """

    basic: ClassVar[frozenset[str]] = frozenset({"images", "threshold"})

    images: tuple[bytes, ...]
    threshold: float | None = None
    labels: tuple[str, ...] = ()

    def features(self) -> dict[str, str]:
        """Return the features used; labels are asked for by ``candidate_labels``."""
        return {"labels": "candidate_labels"} if self.labels else {}


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """A rectangle in pixels of the upright picture, from its left upper corner."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """Something found in a picture, and where."""

    label: str
    score: float
    box: Box


class DetectResult(Result, frozen=True, kw_only=True):
    """What was found in each picture, the surest first.

    ``sizes`` are width and height of each upright picture, which boxes are measured in; empty where a model does not
    tell.
    """

    images: tuple[tuple[Detection, ...], ...]
    sizes: tuple[tuple[int, int], ...] = ()
    usage: Usage


class SegmentRequest(Request, frozen=True, kw_only=True):
    """Say of every pixel what it belongs to (task ``segment``); the fields are those of ``detect``.

    A model that gives each pixel a label and no score has no use for a ``threshold``.
    """

    basic: ClassVar[frozenset[str]] = frozenset({"images"})

    images: tuple[bytes, ...]
    threshold: float | None = None
    labels: tuple[str, ...] = ()

    def features(self) -> dict[str, str]:
        """Return the features used; labels are asked for by ``candidate_labels``."""
        renamed = {"labels": "candidate_labels"}
        return {name: renamed.get(name, name) for name in super().features()}


class Mask(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a picture: a PNG of the picture's size that is 255 where it is and 0 elsewhere."""

    label: str
    score: float | None
    png: bytes


class SegmentResult(Result, frozen=True, kw_only=True):
    """The parts of each picture."""

    images: tuple[tuple[Mask, ...], ...]
    usage: Usage


class EstimateDepthRequest(Request, frozen=True, kw_only=True):
    """Say how far away each pixel is (task ``estimate_depth``)."""

    basic: ClassVar[frozenset[str]] = frozenset({"images"})

    images: tuple[bytes, ...]


class DepthMap(msgspec.Struct, frozen=True, kw_only=True):
    """Depths of a picture: a 16-bit grey PNG of its size, 0 for ``lowest`` and 65535 for ``highest``.

    These two are in the model's unit; whether more is nearer or farther is as the model has it.
    """

    png: bytes
    lowest: float
    highest: float


class EstimateDepthResult(Result, frozen=True, kw_only=True):
    """A map for each picture."""

    images: tuple[DepthMap, ...]
    usage: Usage


class CaptionRequest(Request, frozen=True, kw_only=True):
    """Describe a picture (task ``caption``) in at most ``max_length`` tokens.

    ``prompt`` is what the caption goes on from, a wish in words, or a task such as ``<OD>``: as the model has it.
    """

    basic: ClassVar[frozenset[str]] = frozenset({"image", "max_length"})

    image: bytes
    max_length: int = 50
    prompt: str | None = None


class CaptionResult(Result, frozen=True, kw_only=True):
    """A description; ``parsed`` is what it says as data, where the model writes data."""

    caption: str
    parsed: Any = None
    usage: Usage


class AnswerQuestionRequest(Request, frozen=True, kw_only=True):
    """Answer a question about a picture (task ``answer_question``) in at most ``max_length`` tokens."""

    basic: ClassVar[frozenset[str]] = frozenset({"image", "question", "max_length"})

    image: bytes
    question: str
    max_length: int = 50


class AnswerQuestionResult(Result, frozen=True, kw_only=True):
    """An answer, and how sure the model is where it tells."""

    answer: str
    score: float | None = None
    usage: Usage
