"""How the echo backend labels texts: by how long they are, and by which words are numbers."""

import re
import time
from collections.abc import Sequence

from universal_core import (
    BadRequest,
    ClassifyRequest,
    ClassifyResult,
    ClassifyTokensRequest,
    ClassifyTokensResult,
    Prediction,
    Span,
    UniversalError,
    Usage,
    batched,
)

CLASSIFYING_TASKS = ("classify", "classify_tokens")
TEMPLATE = "about {}"


class EchoClassifier:
    """The tasks that label texts; ``_delay`` is the seconds that a look takes."""

    _delay: float

    @batched(cost=lambda request: len(request.input), budget=64)
    def classify(self, requests: list[ClassifyRequest]) -> list[ClassifyResult | UniversalError]:
        """Return how long each input is, or scores that follow from the labels' sentences and the input."""
        time.sleep(self._delay)
        return [self._labelled(request) for request in requests]

    def _labelled(self, request: ClassifyRequest) -> ClassifyResult | UniversalError:
        at = next((at for at, item in enumerate(request.input) if item == "damaged"), None)
        if at is not None:
            return BadRequest(f"input[{at}]: the text is damaged", param=f"input[{at}]")
        found = tuple(ranked(_scores(item, request))[: request.top_k] for item in request.input)
        return ClassifyResult(predictions=found, usage=Usage(prompt_tokens=len(found)))

    def classify_tokens(self, request: ClassifyTokensRequest) -> ClassifyTokensResult:
        """Return the numbers of each text, with their places."""
        found = tuple(
            tuple(
                Span(label="NUMBER", score=1.0, start=match.start(), end=match.end())
                for match in re.finditer(r"\d+", text)
            )
            for text in request.input
        )
        return ClassifyTokensResult(spans=found, usage=Usage(prompt_tokens=len(found)))


def ranked(scores: dict[str, float]) -> tuple[Prediction, ...]:
    """Return labels with their scores, the greatest first."""
    ordered = sorted(scores.items(), key=lambda pair: -pair[1])
    return tuple(Prediction(label=label, score=score) for label, score in ordered)


def _scores(item: str | tuple[str, str], request: ClassifyRequest) -> dict[str, float]:
    size = len(item) if isinstance(item, str) else sum(map(len, item))
    if not request.labels:
        return {f"{size} characters": 0.9, "one text" if isinstance(item, str) else "two texts": 0.5}
    template = request.hypothesis_template or TEMPLATE
    return _shares(size, [template.replace("{}", label) for label in request.labels], request)


def _shares(size: int, sentences: Sequence[str], request: ClassifyRequest) -> dict[str, float]:
    weights = [1 + (size + len(sentence)) % 7 for sentence in sentences]
    whole = 7 if request.multi_label else sum(weights)
    return {label: weight / whole for label, weight in zip(request.labels, weights, strict=True)}
