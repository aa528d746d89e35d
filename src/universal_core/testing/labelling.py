"""What the contract says about labelling texts: samples of requests, and whole results."""

from universal_core.messages import (
    ClassifyRequest,
    ClassifyResult,
    ClassifyTokensRequest,
    ClassifyTokensResult,
    Message,
    Request,
)

LABELS = ("a llama", "something else entirely", "numbers")
TEXTS = ("Hello there, 42 llamas!", "something else entirely")


def labelling_samples(fields: tuple[str, ...]) -> dict[str, tuple[Request, Request]]:
    """Return two requests of each task that labels texts; labels are in one of them for models that honour them."""
    labels = LABELS if "labels" in fields else ()
    return {
        "classify": (ClassifyRequest(input=TEXTS, top_k=2), ClassifyRequest(input=(TEXTS[1], ""), labels=labels)),
        "classify_tokens": (ClassifyTokensRequest(input=TEXTS), ClassifyTokensRequest(input=(TEXTS[1], ""))),
    }


def check_labelling(request: Request, result: Message) -> None:
    """Assert that a result tells something of each text of its request, and nothing that cannot be."""
    if isinstance(request, ClassifyRequest) and isinstance(result, ClassifyResult):
        check_predictions(request, result)
    if isinstance(request, ClassifyTokensRequest) and isinstance(result, ClassifyTokensResult):
        check_spans(request, result)


def check_predictions(request: ClassifyRequest, result: ClassifyResult) -> None:
    """Assert that each input has as many labels as were asked for, the likeliest first."""
    assert len(result.predictions) == len(request.input), "each input has an answer"
    for predictions in result.predictions:
        scores = [prediction.score for prediction in predictions]
        assert scores == sorted(scores, reverse=True), "the likeliest label comes first"
        assert request.top_k is None or 0 < len(scores) <= request.top_k, f"at most {request.top_k} labels are told"
        if request.labels and request.top_k is None:
            told = {prediction.label for prediction in predictions}
            assert told == set(request.labels), "every label of the request has a score"


def check_spans(request: ClassifyTokensRequest, result: ClassifyTokensResult) -> None:
    """Assert that what was found in a text lies in it, in its order."""
    assert len(result.spans) == len(request.input), "each input has an answer"
    for text, spans in zip(request.input, result.spans, strict=True):
        places = [(span.start, span.end) for span in spans]
        assert places == sorted(places), "what was found is in the order of the text"
        assert all(0 <= start <= end <= len(text) for start, end in places), "what was found lies in the text"
