"""What the echo backend sees in a picture: how many bytes its file has, and the first and the last of them."""

import time
from collections.abc import Sequence

from universal_core import (
    AnswerQuestionRequest,
    AnswerQuestionResult,
    BadRequest,
    Box,
    CaptionRequest,
    CaptionResult,
    ClassifyImageRequest,
    DepthMap,
    Detection,
    DetectRequest,
    DetectResult,
    EmbedImageRequest,
    EmbedResult,
    EstimateDepthRequest,
    EstimateDepthResult,
    Mask,
    MatchLabelsRequest,
    Prediction,
    PredictionsResult,
    SegmentRequest,
    SegmentResult,
    UniversalError,
    Usage,
    batched,
)
from universal_core.testing.png import make_png

LOOKING_TASKS = (
    *("classify_image", "match_labels", "embed_image", "detect", "segment", "estimate_depth"),
    *("caption", "answer_question"),
)
LOOKING_FIELDS = ("labels", "prompt", "threshold")
SCORES = (0.9, 0.5, 0.1)
DAMAGED = b"damaged"
"""What a file begins with that the echo backend takes for a damaged picture."""


class EchoObserver:
    """The tasks that look at pictures; ``_delay`` is the seconds that a look takes."""

    _delay: float
    _counts: bool

    @batched(cost=lambda request: len(request.images), budget=64)
    def classify_image(self, requests: list[ClassifyImageRequest]) -> list[PredictionsResult | UniversalError]:
        """Return the size and the outer bytes of each file; batched, and it can tell of how many requests."""
        time.sleep(self._delay)
        return [self._classify(request, len(requests)) for request in requests]

    def _classify(self, request: ClassifyImageRequest, together: int) -> PredictionsResult | UniversalError:
        error = damage(request.images, "images")
        if error is not None:
            return error
        more = (f"{together} together",) if self._counts else ()
        seen = [(*more, *described(image))[: request.top_k] for image in request.images]
        found = tuple(tuple(map(prediction, labels, SCORES)) for labels in seen)
        return PredictionsResult(images=found, usage=Usage(prompt_tokens=len(found)))

    def match_labels(self, request: MatchLabelsRequest) -> PredictionsResult:
        """Return scores that follow from the size of a file and the length of a label in its sentence."""
        refuse_damage(request.images, "images")
        template = request.hypothesis_template or "{}"
        found = tuple(matched(len(image), request.labels, template) for image in request.images)
        return PredictionsResult(images=found, usage=Usage(prompt_tokens=len(found) + len(request.labels)))

    def embed_image(self, request: EmbedImageRequest) -> EmbedResult:
        """Return the length and the first number of each input, halved where vectors are not to be normalized."""
        for at, item in enumerate(request.input):
            if not item:
                raise BadRequest(f"input[{at}]: an empty text has no vector", param=f"input[{at}]")
            if isinstance(item, bytes):
                refuse_damage((item,), "input", at)
        scale = 1 if request.normalize else 2
        rows = [(len(item) / scale, (item[0] if isinstance(item, bytes) else ord(item[0]))) for item in request.input]
        return EmbedResult.of(rows, len(rows))

    def detect(self, request: DetectRequest) -> DetectResult:
        """Find each label, or the word bytes, in a part of each picture; the first is the surest."""
        refuse_damage(request.images, "images")
        found = tuple(
            tuple(
                Detection(label=label, score=score, box=Box(xmin=0, ymin=0, xmax=len(image), ymax=at + 1))
                for at, (label, score) in enumerate(sure(request.labels, request.threshold))
            )
            for image in request.images
        )
        sizes = tuple((len(image), len(SCORES)) for image in request.images)
        return DetectResult(images=found, sizes=sizes, usage=Usage(prompt_tokens=len(found)))

    def segment(self, request: SegmentRequest) -> SegmentResult:
        """Find each label, or the word bytes, in a picture of one pixel."""
        refuse_damage(request.images, "images")
        png = make_png(1, 1, b"\xff")
        found = tuple(
            Mask(label=label, score=score, png=png) for label, score in sure(request.labels, request.threshold)
        )
        return SegmentResult(images=(found,) * len(request.images), usage=Usage(prompt_tokens=len(request.images)))

    def estimate_depth(self, request: EstimateDepthRequest) -> EstimateDepthResult:
        """Return the size of each file as how far its one pixel is away."""
        refuse_damage(request.images, "images")
        found = tuple(
            DepthMap(png=make_png(1, 1, b"\xff\xff"), lowest=0, highest=len(image)) for image in request.images
        )
        return EstimateDepthResult(images=found, usage=Usage(prompt_tokens=len(found)))

    def caption(self, request: CaptionRequest) -> CaptionResult:
        """Return the size of a file in words; where the prompt is a task in angle brackets, as data too."""
        refuse_damage((request.image,), "image", None)
        task = request.prompt if request.prompt and request.prompt.startswith("<") else None
        words = f"{request.prompt or 'a picture of'} {len(request.image)} bytes".split()[: request.max_length]
        parsed = {task: len(request.image)} if task else None
        return CaptionResult(caption=" ".join(words), parsed=parsed, usage=usage_of(request.prompt, words))

    def answer_question(self, request: AnswerQuestionRequest) -> AnswerQuestionResult:
        """Return the size of a file; the answer is sure where the question is how many bytes there are."""
        refuse_damage((request.image,), "image", None)
        words = f"{len(request.image)} bytes".split()[: request.max_length]
        score = 1.0 if request.question.startswith("how many bytes") else None
        return AnswerQuestionResult(answer=" ".join(words), score=score, usage=usage_of(request.question, words))


def damage(images: Sequence[bytes], name: str, at: int | None = 0) -> BadRequest | None:
    """Return the error for the first damaged file; ``at`` is the place of the first file, None where it has none."""
    for place, image in enumerate(images):
        if image.startswith(DAMAGED):
            param = name if at is None else f"{name}[{at + place}]"
            return BadRequest(f"{param}: the picture is damaged", param=param)
    return None


def refuse_damage(images: Sequence[bytes], name: str, at: int | None = 0) -> None:
    """Raise what ``damage`` returns."""
    error = damage(images, name, at)
    if error is not None:
        raise error


def described(image: bytes) -> tuple[str, ...]:
    """Return all that there is to see in a file."""
    return f"{len(image)} bytes", f"begins with {image[0]}", f"ends with {image[-1]}"


def prediction(label: str, score: float) -> Prediction:
    """Return a label with its score."""
    return Prediction(label=label, score=score)


def matched(size: int, labels: Sequence[str], template: str) -> tuple[Prediction, ...]:
    """Return labels with shares that follow from the length of their sentences, the greatest first."""
    weights = [1 + (size + len(template.replace("{}", label))) % 7 for label in labels]
    found = [prediction(label, weight / sum(weights)) for label, weight in zip(labels, weights, strict=True)]
    return tuple(sorted(found, key=lambda one: -one.score))


def sure(labels: Sequence[str], threshold: float | None) -> list[tuple[str, float]]:
    """Return labels with scores, those that are sure enough."""
    least = 0.0 if threshold is None else threshold
    return [(label, score) for label, score in zip(labels or ("bytes",) * 3, SCORES, strict=False) if score >= least]


def usage_of(text: str | None, words: Sequence[str]) -> Usage:
    """Return the words read and written, a picture being one."""
    return Usage(prompt_tokens=1 + len((text or "").split()), completion_tokens=len(words))
