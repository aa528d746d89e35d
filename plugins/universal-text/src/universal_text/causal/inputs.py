"""What a model is given for the tokens of one step."""

import inspect
from typing import Any

import torch
from transformers import DynamicCache

from universal_core.conversation import Row, Sequence


class Inputs:
    """The arguments of a model's ``forward`` for one row: its tokens, on the sequence's own cache.

    A model that reads more than tokens has an Inputs of its own. Whatever it has to remember about a sequence belongs
    into ``sequence.state``: that is copied where a prompt gets several answers, and dropped at the end. The methods run
    on the engine's thread, in inference mode.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._parameters = frozenset(inspect.signature(model.forward).parameters)
        self._cache_name = "cache_params" if "cache_params" in self._parameters else "past_key_values"

    def begin(self, sequence: Sequence) -> Any:
        """Return the state of a sequence of which nothing has been read."""
        return {self._cache_name: DynamicCache(config=self._model.config), "use_cache": True, **self._last_logits()}

    def of(self, row: Row) -> dict[str, Any]:
        """Return the arguments for a row, whose tokens count as read already."""
        arguments: dict[str, Any] = row.sequence.state
        return {"input_ids": self._tensor(row.tokens), **arguments}

    def _tensor(self, tokens: list[int]) -> torch.Tensor:
        return torch.tensor([tokens], device=self._model.device)

    def _last_logits(self) -> dict[str, Any]:
        return {"logits_to_keep": 1} if "logits_to_keep" in self._parameters else {}
