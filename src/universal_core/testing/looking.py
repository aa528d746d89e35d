"""What the contract says about looking at pictures: samples of requests, whole results, when two are the same."""

import msgspec

from universal_core.messages import (
    AnswerQuestionRequest,
    CaptionRequest,
    ClassifyImageRequest,
    DetectRequest,
    DetectResult,
    EmbedImageRequest,
    EmbedResult,
    EstimateDepthRequest,
    EstimateDepthResult,
    MatchLabelsRequest,
    Message,
    PredictionsResult,
    Request,
    SegmentRequest,
    SegmentResult,
)
from universal_core.testing.png import make_striped_png

WIDE = make_striped_png(64, [b"\xc0\x30\x10"] * 24 + [b"\x10\x20\xe0"] * 24)
TALL = make_striped_png(40, [b"\x10\xd0\x20", b"\xf0\xf0\xf0"] * 30)
LABELS = ("a cat", "two dogs", "something else")
TOLERANCE = 0.02
"""How far numbers and shades may be off where a request ran together with others: a batch adds up in another order."""


def looking_samples(fields: tuple[str, ...]) -> dict[str, tuple[Request, Request]]:
    """Return two requests of each task that looks; labels are among them for models that honour them."""
    labels = LABELS if "labels" in fields else ()
    few, many = (0.1, 0.5) if "threshold" in fields else (None, None)
    one, both = (WIDE,), (TALL, WIDE)
    return {
        "classify_image": (ClassifyImageRequest(images=one, top_k=2), ClassifyImageRequest(images=both)),
        "match_labels": (
            MatchLabelsRequest(images=one, labels=LABELS),
            MatchLabelsRequest(images=both, labels=LABELS[:2], hypothesis_template="a picture of {}"),
        ),
        "embed_image": (EmbedImageRequest(input=one), EmbedImageRequest(input=both, normalize=False)),
        "detect": (
            DetectRequest(images=one, threshold=0.1, labels=labels),
            DetectRequest(images=both, threshold=0.5, labels=labels[:2]),
        ),
        "segment": (
            SegmentRequest(images=one, threshold=few, labels=labels),
            SegmentRequest(images=both, threshold=many, labels=labels[:2]),
        ),
        "estimate_depth": (EstimateDepthRequest(images=one), EstimateDepthRequest(images=both)),
        "caption": (CaptionRequest(image=WIDE, max_length=8), CaptionRequest(image=TALL, max_length=12)),
        "answer_question": (
            AnswerQuestionRequest(image=WIDE, question="what is this", max_length=8),
            AnswerQuestionRequest(image=TALL, question="how many are there", max_length=12),
        ),
    }


def check_looking(request: Request, result: Message) -> None:
    """Assert that a result tells something of each picture of its request, and nothing that cannot be."""
    if isinstance(request, EmbedImageRequest) and isinstance(result, EmbedResult):
        expected = len(request.input) * result.dimensions * 4
        assert len(result.vectors) == expected, "there is one vector for each input"
    if isinstance(request, ClassifyImageRequest | MatchLabelsRequest) and isinstance(result, PredictionsResult):
        check_predictions(request, result)
    if isinstance(request, DetectRequest | SegmentRequest | EstimateDepthRequest):
        assert isinstance(result, DetectResult | SegmentResult | EstimateDepthResult), f"{result!r} is no answer"
        assert len(result.images) == len(request.images), "each picture has an answer"
    if isinstance(result, DetectResult):
        assert len(result.sizes) in (0, len(result.images)), "the sizes of all pictures are told, or of none"


def check_predictions(request: ClassifyImageRequest | MatchLabelsRequest, result: PredictionsResult) -> None:
    """Assert that each picture has as many labels as were asked for, the likeliest first."""
    assert len(result.images) == len(request.images), "each picture has an answer"
    for predictions in result.images:
        scores = [prediction.score for prediction in predictions]
        assert scores == sorted(scores, reverse=True), "the likeliest label comes first"
        assert all(0 <= score <= 1 for score in scores), "scores are from 0 to 1"
        if isinstance(request, ClassifyImageRequest):
            assert 0 < len(predictions) <= request.top_k, f"at most {request.top_k} labels are told"
        else:
            assert {prediction.label for prediction in predictions} == set(request.labels), "every label has a score"


def near(one: object, other: object) -> bool:
    """Whether two results say the same, numbers and pictures in them nearly so."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= TOLERANCE * max(1.0, abs(one), abs(other))
    if isinstance(one, msgspec.Struct) and type(one) is type(other):
        return all(near(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(near, one, other))
    if isinstance(one, bytes) and isinstance(other, bytes):
        return one == other or near_shades(one, other)
    return one == other


def near_shades(one: bytes, other: bytes) -> bool:
    """Whether the pixels of two files are nearly the same on average, which needs Pillow."""
    # Here, because it needs libraries that most plugins do without.
    from universal_core.pictures import read_picture

    first, second = (read_picture(data, "image").astype("int16") for data in (one, other))
    return first.shape == second.shape and float(abs(first - second).mean()) <= 255 * TOLERANCE
