"""One step of a model for a set of sequences."""

import copy
import inspect
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from universal_core.conversation import Row, Sequence

Outcome = Tensor | RuntimeError | None


class SoloRunner:
    """Runs every sequence by itself, on a cache of its own.

    A sequence's numbers are then the same to the last bit whatever runs beside it, on every architecture that
    transformers has a cache for: sliding windows, recurrent states and mixtures of experts included.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        parameters = inspect.signature(model.forward).parameters
        self._cache_name = "cache_params" if "cache_params" in parameters else "past_key_values"
        self._arguments = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}

    @property
    def reads_whole_prompts(self) -> bool:
        """Recurrent models promise to continue a state by one token at a time only."""
        return bool(getattr(self._model, "_is_stateful", False))

    def step(self, rows: list[Row]) -> list[Outcome]:
        """Run the rows one after another; a row that fails does not harm the others."""
        return [self._run(row) for row in rows]

    @torch.inference_mode()
    def copy(self, source: Sequence, target: Sequence) -> None:
        """Copy the source's cache."""
        target.state = copy.deepcopy(source.state)

    def release(self, sequence: Sequence) -> None:
        """Drop the sequence's cache."""
        sequence.state = None

    def interrupt(self, wanted: bool) -> None:
        """Do nothing: a forward pass of PyTorch cannot be ended early."""

    def _run(self, row: Row) -> Outcome:
        try:
            logits = self._forward(row)
        except RuntimeError as error:  # torch's own, out of memory among them
            return error
        return logits[0, -1] if row.wanted else None

    @torch.inference_mode()
    def _forward(self, row: Row) -> Tensor:
        sequence = row.sequence
        if sequence.state is None:
            sequence.state = DynamicCache(config=self._model.config)
        output = self._model(
            input_ids=torch.tensor([row.tokens], device=self._model.device),
            use_cache=True,
            **{self._cache_name: sequence.state},
            **self._arguments,
        )
        return output.logits  # type: ignore[no-any-return]
