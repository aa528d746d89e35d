"""From a classifier's numbers to scores: by its own labels, by a request's, or by how relevant a document is."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from universal_core import ModelInfo, Prediction
from universal_text.activations import activation_of
from universal_text.classifier.claim import ENTAILMENT


def scores_of(logits: Tensor, problem: str | None) -> Tensor:
    """Return (texts, labels) as scores, as transformers' text-classification pipeline does.

    ``problem`` is the ``problem_type`` of config.json: a regression's numbers stay what they are; several labels that
    may hold together, or a single one, are independent (sigmoid); of others one holds (softmax).
    """
    if problem == "regression":
        return logits
    if problem == "multi_label_classification" or logits.shape[-1] == 1:
        return logits.sigmoid()
    return logits.softmax(-1)


def fit_of(logits: Tensor, labels: Sequence[str], *, several: bool) -> Tensor:
    """Return how well each label of a request fits, (labels of the request), by whether its sentence follows.

    ``logits`` is (labels of the request, labels of the model), as transformers' zero-shot-classification pipeline has
    them: a label by itself, and each of ``several`` that may fit, is weighed by entailment against contradiction; of
    others one fits, so entailment is weighed among them.
    """
    follows = next(place for place, label in enumerate(labels) if label.lower().startswith(ENTAILMENT))
    if several or len(logits) == 1:
        against = -1 if follows == 0 else 0
        return logits[:, [against, follows]].softmax(-1)[:, 1]
    return logits[:, follows].softmax(-1)


def ranked(labels: Sequence[str], scores: Tensor, top_k: int | None) -> tuple[Prediction, ...]:
    """Return labels with their scores, the greatest first, and only so many of them."""
    pairs = sorted(zip(labels, scores.tolist(), strict=True), key=lambda pair: -pair[1])
    return tuple(Prediction(label=label, score=score) for label, score in pairs[:top_k])


def relevance_of(info: ModelInfo) -> nn.Module:
    """Return what makes a relevance of a number: what the model's files say, else sigmoid, as a CrossEncoder does.

    Raises LoadFailed for an activation that is not known.
    """
    named = (
        _general(info).get("activation_fn"),
        _inner(info.config).get("activation_fn"),
        info.config.get("sbert_ce_default_activation_function"),
    )
    name = next((name for name in named if name), None)
    return nn.Sigmoid() if name is None else activation_of(str(name))


def prompt_of(info: ModelInfo) -> str:
    """Return what a cross-encoder wants before each query, mostly nothing."""
    general = _general(info)
    prompts, name = general.get("prompts"), general.get("default_prompt_name")
    return str(prompts.get(name) or "") if isinstance(prompts, dict) and name else ""


def _general(info: ModelInfo) -> dict[str, Any]:
    found = info.documents.get("config_sentence_transformers.json")
    return found if isinstance(found, dict) else {}


def _inner(config: dict[str, Any]) -> dict[str, Any]:
    found = config.get("sentence_transformers")
    return found if isinstance(found, dict) else {}
