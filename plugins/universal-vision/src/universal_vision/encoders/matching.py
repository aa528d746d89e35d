"""Models with a half for pictures and one for words: how well a label fits, and the labels' vectors kept."""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from universal_vision.encoders.running import Row
from universal_vision.loading import Inputs

TEMPLATE = "This is a photo of {}."
"""What transformers' zero-shot pipeline puts a label into."""


class Matcher:
    """The two halves, whose vectors are in one space."""

    def __init__(self, model: Any) -> None:
        """Take a model of CLIP's kind, with a scale or a temperature, or of SigLIP's, with a scale and a bias."""
        self._model = model
        # ALIGN and TIPS have what CLIP's scale is the inverse of.
        scale = model.logit_scale.exp() if hasattr(model, "logit_scale") else 1 / model.temperature
        self._scale = scale.float().cpu()
        bias = getattr(model, "logit_bias", None)
        self._bias = None if bias is None else bias.float().cpu()

    def pictures(self, inputs: Inputs) -> Tensor:
        """Return the vectors of pictures, ``[pictures, size]``."""
        return _vectors(self._model.get_image_features(**inputs))

    def texts(self, inputs: Inputs) -> Tensor:
        """Return the vectors of texts, ``[texts, size]``."""
        return _vectors(self._model.get_text_features(**inputs))

    def scores(self, pictures: Tensor, texts: Tensor) -> Tensor:
        """Return how well texts fit pictures, ``[pictures, texts]``.

        Scores of a picture add up to 1, or where the model has a bias each is a probability of its own (SigLIP, by
        the sigmoid that it was trained with).
        """
        logits: Tensor = normalize(pictures, dim=-1) @ normalize(texts, dim=-1).T * self._scale
        return logits.softmax(-1) if self._bias is None else (logits + self._bias).sigmoid()


class Kept:
    """The vectors of the texts that were read last: clients ask with the same labels again and again."""

    def __init__(self, limit: int) -> None:
        """``limit`` is how many texts are kept."""
        self._limit = limit
        self._rows: OrderedDict[str, Row] = OrderedDict()

    def find(self, text: str) -> Row | None:
        """Return what is kept of a text."""
        if text in self._rows:
            self._rows.move_to_end(text)
        return self._rows.get(text)

    def keep(self, text: str, row: Row) -> None:
        """Keep what was made of a text, and drop what was not asked for the longest."""
        # A row is a part of its batch, which would be kept as a whole.
        self._rows[text] = Row(row.values.clone(), row.tokens)
        self._rows.move_to_end(text)
        while len(self._rows) > self._limit:
            self._rows.popitem(last=False)


def _vectors(features: Any) -> Tensor:
    # An object since transformers 5, with the projected vectors where the pooler's are in other models.
    found: Tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
    return found
