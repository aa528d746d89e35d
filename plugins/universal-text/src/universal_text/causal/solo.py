"""One step of a model for a set of sequences."""

import copy
from typing import Any

import torch
from torch import Tensor

from universal_core import note_batch
from universal_core.conversation import Row, Sequence
from universal_core.pytorch import use_threads
from universal_text.causal.adapters import Adapters
from universal_text.causal.inputs import Inputs

Outcome = Tensor | RuntimeError | None


class SoloRunner:
    """Runs every sequence by itself, on a cache of its own; ``inputs`` says what the model is given.

    Each is computed with its own adapter, or with none.

    A sequence's numbers do not depend on what runs beside it then, but for how many threads that leaves, on every
    architecture that transformers has a cache for: sliding windows, recurrent states and mixtures of experts included.
    """

    def __init__(
        self,
        model: Any,
        inputs: Inputs | None = None,
        adapters: Adapters | None = None,
        threads: int | None = None,
    ) -> None:
        self._model = model
        self._threads = threads
        self._adapters = adapters or Adapters(model, None)
        self._inputs = inputs or Inputs(model)

    @property
    def reads_whole_prompts(self) -> bool:
        """Recurrent models promise to continue a state by one token at a time only."""
        return bool(getattr(self._model, "_is_stateful", False)) or self._inputs.makes_cache

    def step(self, rows: list[Row]) -> list[Outcome]:
        """Run the rows one after another; a row that fails does not harm the others."""
        use_threads(self._threads)
        return [self._run(row) for row in rows]

    @torch.inference_mode()
    def copy(self, source: Sequence, target: Sequence) -> None:
        """Copy the source's state."""
        target.state = copy.deepcopy(source.state)

    def release(self, sequence: Sequence) -> None:
        """Drop the sequence's state."""
        sequence.state = None

    def interrupt(self, wanted: bool) -> None:
        """Do nothing: a forward pass of PyTorch cannot be ended early."""

    def _run(self, row: Row) -> Outcome:
        note_batch(1)
        try:
            logits = self._forward(row)
        except RuntimeError as error:  # torch's own, out of memory among them
            return error
        if row.wanted > 1:
            return logits[0, -row.wanted :]
        return logits[0, -1] if row.wanted else None

    @torch.inference_mode()
    def _forward(self, row: Row) -> Tensor:
        sequence = row.sequence
        self._adapters.use(sequence.adapter)
        if sequence.state is None:
            sequence.state = self._inputs.begin(sequence)
        inputs = self._inputs.of(row)
        if row.wanted > 1 and "logits_to_keep" in inputs:
            inputs = {**inputs, "logits_to_keep": row.wanted}
        output = self._model(**inputs)
        self._inputs.note(sequence, output)
        return output.logits  # type: ignore[no-any-return]
