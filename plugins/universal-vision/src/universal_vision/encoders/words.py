"""From texts to what the text half of a model reads."""

from collections.abc import Sequence
from textwrap import shorten
from threading import Lock
from typing import Any

import torch

from universal_core import BadRequest, ContextLengthExceeded
from universal_vision.encoders.running import Forward, Work

# What transformers' pipeline and processors have for SigLIP and SigLIP 2, which were trained on texts of this length.
_SIGLIP_LENGTH = 64
# Tokenizers that know no limit say so with a number beyond all sense.
_NO_LIMIT = 10**6


class WordReader:
    """Makes tokens of texts as the model was trained on them."""

    def __init__(self, tokenizer: Any, config: Any, forward: Forward) -> None:
        """``config`` is the model's configuration, ``forward`` its text half."""
        self._tokenizer = tokenizer
        self._forward = forward
        # A tokenizer changes its own settings when it is called, and fails where another thread is at work with it.
        self._lock = Lock()
        self._padded = "siglip" in config.model_type
        positions = getattr(config.text_config, "max_position_embeddings", None) or _NO_LIMIT
        self._limit = _SIGLIP_LENGTH if self._padded else min(positions, tokenizer.model_max_length)

    def read(self, texts: Sequence[str], params: Sequence[str]) -> list[Work]:
        """Return the texts, ready; raises BadRequest for one that is empty or too long, naming its parameter."""
        with self._lock:
            return self._read(list(texts), params)

    def _read(self, texts: list[str], params: Sequence[str]) -> list[Work]:
        lengths = [len(ids) for ids in self._tokenizer(texts, padding=False)["input_ids"]]
        for text, length, param in zip(texts, lengths, params, strict=True):
            self._check(text, length, param)
        # Unless it was trained on padding, texts of different lengths go through the model without any.
        how = {"padding": "max_length", "max_length": self._limit} if self._padded else {"padding": False}
        made = self._tokenizer(texts, **how)
        return [
            Work(self._forward, {name: torch.tensor([values[place]]) for name, values in made.items()}, length)
            for place, length in enumerate(lengths)
        ]

    def _check(self, text: str, length: int, param: str) -> None:
        if not length:
            raise BadRequest(f"{param}: expected a text, got one without any tokens; leave it out", param=param)
        if length > self._limit:
            raise ContextLengthExceeded(
                f"{param}: the text {shorten(text, 40)!r} has {length} tokens, and this model reads at most "
                f"{self._limit}; make it shorter",
                param=param,
            )
