"""Load a classifier from a folder, and ask it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tiny.folder import info_of
from universal_core import ClassifyRequest, ClassifyTokensRequest, RerankRequest, Result

if TYPE_CHECKING:
    from universal_text.classifier.judge import JudgingModel
    from universal_text.classifier.names import TokenClassifier
    from universal_text.classifier.options import ClassifierOptions
    from universal_text.classifier.texts import TextClassifier


def load_texts(path: Path, **options: Any) -> "TextClassifier":
    """Return the classifier of texts in a folder, on the CPU."""
    from universal_text.classifier.texts import TextClassifier

    return TextClassifier(info_of(path), _options(options))


def load_tokens(path: Path, **options: Any) -> "TokenClassifier":
    """Return the classifier of tokens in a folder, on the CPU."""
    from universal_text.classifier.names import TokenClassifier

    return TokenClassifier(info_of(path), _options(options))


def load_judge(path: Path, **options: Any) -> "JudgingModel":
    """Return the decoder in a folder that ranks documents, on the CPU."""
    from universal_text.classifier.judge import JudgingModel

    return JudgingModel(info_of(path), _options(options))


def rank(model: "TextClassifier | JudgingModel", query: str, *documents: str) -> list[float]:
    """Return the score of each document."""
    return list(result(model.rerank([RerankRequest(query=query, documents=documents)])).scores)


def labels(model: "TextClassifier", *texts: str | tuple[str, str], **fields: Any) -> list[dict[str, float]]:
    """Return the labels of each input with their scores, the likeliest first."""
    found = result(model.classify([ClassifyRequest(input=texts, **fields)]))
    return [{one.label: one.score for one in predictions} for predictions in found.predictions]


def spans(model: "TokenClassifier", *texts: str) -> list[list[tuple[str, float, int, int]]]:
    """Return what is found in each text: label, score, start and end."""
    found = result(model.classify_tokens([ClassifyTokensRequest(input=texts)]))
    return [[(one.label, one.score, one.start, one.end) for one in of_text] for of_text in found.spans]


def result(answers: list[Any]) -> Any:
    """Return the only answer, and raise the error that is in its place."""
    (answer,) = answers
    if isinstance(answer, BaseException):
        raise answer
    assert isinstance(answer, Result)
    return answer


def _options(options: dict[str, Any]) -> "ClassifierOptions":
    from universal_text.classifier.options import ClassifierOptions

    return ClassifierOptions(**{"device": "cpu", "threads": 1, **options})
