"""From the numbers of a classifier to labels and how likely they are."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from universal_core import Prediction


class Labels:
    """The labels of a classifier."""

    def __init__(self, config: Any) -> None:
        """``config`` is the model's configuration."""
        self._names: dict[int, str] = config.id2label
        self._problem = config.problem_type or ""

    def predictions(self, logits: Tensor, top_k: int) -> tuple[Prediction, ...]:
        """Return the ``top_k`` likeliest labels, the likeliest first, of logits ``[labels]``.

        They are made into scores as transformers' own pipeline does it: labels that do not exclude one another, or a
        single one, each have a probability of their own; others add up to 1; a regression's numbers stay.
        """
        return ranked(self._scores(logits), self._name, top_k)

    def _scores(self, logits: Tensor) -> Tensor:
        if self._problem == "regression":
            return logits
        if self._problem == "multi_label_classification" or len(logits) == 1:
            return logits.sigmoid()
        return logits.softmax(-1)

    def _name(self, place: int) -> str:
        return str(self._names.get(place, f"LABEL_{place}"))


def ranked(scores: Tensor, label: Callable[[int], str], top_k: int) -> tuple[Prediction, ...]:
    """Return the ``top_k`` best by ``scores`` ``[labels]``, of equals the first before the others.

    ``label`` tells what stands in a place.
    """
    values, places = scores.sort(descending=True, stable=True)
    best = zip(values[:top_k].tolist(), places[:top_k].tolist(), strict=True)
    return tuple(Prediction(label=label(place), score=score) for score, place in best)
