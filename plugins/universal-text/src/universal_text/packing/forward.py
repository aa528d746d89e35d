"""The forward pass of a transformer over texts that stand side by side."""

import inspect
import itertools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from universal_text.limits import first_position
from universal_text.packing.attention import NAME, attending
from universal_text.packing.texts import Texts
from universal_text.side_by_side import Unsupported, check_equal, check_positions, trial_of

_LENGTHS = (7, 3, 3, 12)
EXACT, ROUGH = 1e-3, 0.1
"""How far the hidden states of the two ways may be apart, as a share of their own spread: in float32, and else."""


class PackedForward:
    """Reads texts side by side with a transformer that answers with hidden states."""

    def __init__(self, model: PreTrainedModel, running: Callable[[], AbstractContextManager[Any]]) -> None:
        """Give the model the attention of this package, and try it; ``running`` is the context that it runs in.

        Raises Unsupported, with the reason, for a model that can read texts only one by one or padded; it is left as
        it was.
        """
        self.kind: Callable[..., Any] = BaseModelOutput
        """What the model answers with."""
        self._model = model
        self._running = running
        self._call = model.forward
        self._takes = inspect.signature(model.forward).parameters
        self._first = first_position(model)
        check_kind(model)
        # Before anything about the weights is changed.
        self._exact = all(one.dtype == torch.float32 for one in model.parameters())
        with trial_of(model):
            self._expected = [self._alone(ids) for ids in trial_rows(model)]
            model.set_attn_implementation(NAME)
            self.check()

    def __call__(self, ids: Tensor, lengths: Sequence[int], types: Tensor | None = None) -> Tensor:
        """Return (tokens, size) for the token ids (tokens) of texts of these lengths, one behind the other."""
        return self._hidden(ids, Texts(lengths), types)

    @torch.inference_mode()
    def _hidden(self, ids: Tensor, texts: Texts, types: Tensor | None) -> Tensor:
        device = self._model.device
        inputs = {"input_ids": ids, "position_ids": texts.positions(self._first), "token_type_ids": types}
        given = {
            name: value.to(device)[None] for name, value in inputs.items() if value is not None and name in self._takes
        }
        with attending(texts), self._running():
            output = self._call(**given)
        self.kind = type(output)
        hidden: Tensor = output.last_hidden_state
        return hidden[0]

    @torch.inference_mode()
    def _alone(self, ids: list[int]) -> Tensor:
        with self._running():
            hidden: Tensor = self._call(input_ids=torch.tensor([ids], device=self._model.device)).last_hidden_state
        return hidden[0]

    def check(self) -> None:
        """Read some texts side by side; raises Unsupported where they come out otherwise than one by one."""
        rows = trial_rows(self._model)
        texts = Texts([len(row) for row in rows])
        found = self._hidden(torch.tensor([token for row in rows for token in row]), texts, None)
        layers = self._model.config.num_hidden_layers
        if texts.layers != layers:
            raise Unsupported(f"{texts.layers} of its {layers} layers ask for an attention")
        for want, part in zip(self._expected, torch.split(found, texts.lengths), strict=True):
            check_equal(want, part, EXACT if self._exact else ROUGH)


def check_kind(model: PreTrainedModel) -> None:
    """Raise Unsupported for what is known to be otherwise before anything is run."""
    if model.config.is_encoder_decoder:
        raise Unsupported("it has an encoder and a decoder")
    if not model._can_set_attn_implementation():
        raise Unsupported("it has an attention of its own")
    check_positions(model)


def trial_rows(model: PreTrainedModel) -> list[list[int]]:
    """Return texts of tokens from all over the vocabulary, one longer than what a layer sees at a time."""
    config: Any = model.config
    window = getattr(config, "sliding_window", None) or 0
    longest = getattr(config, "max_position_embeddings", None) or 2**20
    lengths = (*_LENGTHS, min(window + 8, longest - first_position(model))) if window else _LENGTHS
    numbers = itertools.count(1)
    embeddings: Any = model.get_input_embeddings()
    known = len(embeddings.weight)
    # The first ids are often those of padding, which some models give a position of its own.
    first = min(10, known // 2)
    return [[first + next(numbers) * 7919 % (known - first) for _ in range(length)] for length in lengths]
