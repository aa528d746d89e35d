"""Guesses from a small model that writes alike: it goes ahead, and the large one checks all it wrote in one pass."""

import inspect
import json
import logging
from array import array
from collections.abc import Container
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from universal_core import LoadFailed, ModelInfo, ModelNotFound, ModelRef
from universal_core.continuous_batching import common
from universal_core.conversation import Sequence
from universal_core.repositories import find_place
from universal_text.causal.load import load, vocabulary_of
from universal_text.causal.vocabulary import TokenizerVocabulary
from universal_text.key_values import context_of
from universal_text.options import CausalOptions

_log = logging.getLogger(__name__)

_CONFIG = "config.json"
_FILES = ("*.json", "model*.safetensors", "tokenizer*", "*.txt", "*.model", "*.jinja")
_PIECE = 512
_SURE = 0.5


class DraftModel:
    """Writes up to ``count`` tokens ahead of an answer, the likeliest always, and stops where it is not sure.

    One text is kept as it was read: an answer that begins like the last one costs only what is new. Guesses are below
    ``choices``, which is how many tokens the large model can write, and never among its ``ends``.
    """

    def __init__(self, model: Any, count: int, choices: int, ends: Container[int]) -> None:
        self._model = model
        self._count = count
        self._choices = choices
        self._ends = ends
        self._size = int(model.get_input_embeddings().weight.shape[0])
        self._context = context_of(model.config.get_text_config().to_dict())
        parameters = inspect.signature(model.forward).parameters
        self._last_logits = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}
        self._failed: set[Sequence] = set()
        self._clear()

    @torch.inference_mode()
    def guess(self, sequence: Sequence) -> list[int]:
        """Return what the small model goes on with; nothing while it has not caught up with a long prompt.

        What fails in it fails no answer: that one is written without it from then on.
        """
        if sequence in self._failed:
            return []
        try:
            return self._go_on(sequence)
        except RuntimeError as error:  # torch's own, out of memory among them
            _log.warning("the draft model failed, and an answer goes on without it: %s", error)
            self._failed.add(sequence)
            self._clear()
            return []

    def forget(self, sequence: Sequence) -> None:
        """Count a sequence as over; its text is kept for one that begins alike."""
        self._failed.discard(sequence)

    def _clear(self) -> None:
        # Not made for the model's own kinds of layers: what a sliding window drops could not be had again.
        self._cache = DynamicCache()
        self._read: array[int] = array("i")

    def _go_on(self, sequence: Sequence) -> list[int]:
        logits = self._catch_up(sequence.tokens)
        guesses: list[int] = []
        while logits is not None:
            token = int(logits.argmax())
            if token in self._ends or not _is_sure(logits, token):
                break
            guesses.append(token)
            logits = self._forward(guesses[-1:]) if len(guesses) < self._count else None
        return guesses

    def _catch_up(self, tokens: list[int]) -> Tensor | None:
        """Read what is new of a text, or a piece of it; return the logits after its end where that is reached.

        Models may have more tokens than their tokenizer, to be a round number; what the small one lacks it cannot read.
        """
        self._cut(common(self._read, tokens[:-1]))
        new = tokens[len(self._read) : len(self._read) + _PIECE]
        if max(new) >= self._size or min(new) < 0:
            return None
        logits = self._forward(new)
        return logits if len(self._read) == len(tokens) else None

    def _cut(self, length: int) -> None:
        """Forget what was read after the first ``length`` tokens."""
        if length < len(self._read):
            self._cache.crop(length - len(self._read))
            del self._read[length:]

    def _forward(self, tokens: list[int]) -> Tensor | None:
        """Read tokens and return the logits after the last, None beyond the positions that the model knows."""
        if self._context is not None and len(self._read) + len(tokens) > self._context:
            return None
        read = torch.tensor([tokens], device=self._model.device)
        found = self._model(input_ids=read, past_key_values=self._cache, use_cache=True, **self._last_logits)
        self._read.extend(tokens)
        after: Tensor = found.logits[0, -1, : self._choices].float()
        return after


def load_draft(place: str, options: CausalOptions, vocabulary: TokenizerVocabulary, choices: int) -> DraftModel:
    """Return the small model at a path, or in a repository of the hub, on the device of the large one.

    Raises LoadFailed, also for one with other tokens than those of ``vocabulary`` or with a state that cannot go back.
    """
    try:
        info = _info(place)
        model, tokenizer = load(info, msgspec.structs.replace(options, device_map=None, quantization=None))
    except (LoadFailed, ModelNotFound) as error:
        raise LoadFailed(f"draft_model {place}: {error.message}") from error
    _check_tokens(place, vocabulary_of(model, tokenizer), vocabulary)
    _check_cache(place, model)
    return DraftModel(model, options.draft_tokens, choices, vocabulary.ends)


def _info(place: str) -> ModelInfo:
    folder = find_place(place, _FILES)
    if not (folder / _CONFIG).is_file():
        raise LoadFailed(f"expected a folder with {_CONFIG}, weights in safetensors and a tokenizer")
    return ModelInfo(
        id=place, ref=ModelRef.parse(place), source="draft_model", path=str(folder), documents=_documents(folder)
    )


def _documents(folder: Path) -> dict[str, Any]:
    try:
        return {_CONFIG: json.loads((folder / _CONFIG).read_text("utf-8"))}
    except ValueError as error:
        raise LoadFailed(f"its {_CONFIG} is no JSON: {error}") from error


def _check_tokens(place: str, its: TokenizerVocabulary, vocabulary: TokenizerVocabulary) -> None:
    """Refuse other tokens: what one model wrote would mean something else to the other."""
    if its.has_tokens_of(vocabulary):
        return
    raise LoadFailed(
        f"draft_model {place} has other tokens than the model: it must have the same tokenizer, as models of one "
        "family have; name another one, or leave the option out"
    )


def _check_cache(place: str, model: Any) -> None:
    kinds = {type(layer) for layer in DynamicCache(config=model.config).layers}
    if getattr(model, "_is_stateful", False) or kinds - {DynamicLayer, DynamicSlidingWindowLayer}:
        raise LoadFailed(
            f"draft_model {place} keeps a state that cannot go back: it must have only layers with a key-value cache; "
            "name another one, or leave the option out"
        )


def _is_sure(logits: Tensor, token: int) -> bool:
    """Whether the best token is at least as likely as all others together: it is 1 / sum(exp(logit - its logit))."""
    return float((logits - logits[token]).exp().sum()) <= 1 / _SURE
