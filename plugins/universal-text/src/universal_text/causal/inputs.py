"""What a model is given for the tokens of one step."""

import inspect
import sys
from typing import Any

import torch
from transformers import Cache, DynamicCache

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
        names = ("cache_params", "past_key_values", "state")
        self._cache_name = next((name for name in names if name in self._parameters), "past_key_values")
        self.makes_cache = self._cache_name == "state" or _has_cache_of_its_own(model)

    def begin(self, sequence: Sequence) -> Any:
        """Return the state of a sequence of which nothing has been read."""
        cache = None if self.makes_cache else DynamicCache(config=self._model.config)
        return {self._cache_name: cache, "use_cache": True, **self._last_logits()}

    def of(self, row: Row) -> dict[str, Any]:
        """Return the arguments for a row, whose tokens count as read already."""
        arguments: dict[str, Any] = row.sequence.state
        return {"input_ids": self._tensor(row.tokens), **arguments, **self._positions(row)}

    def note(self, sequence: Sequence, output: Any) -> None:
        """Take in what the model returns of its state, where it makes one itself."""
        if self.makes_cache:
            sequence.state[self._cache_name] = output[self._cache_name]

    def _tensor(self, tokens: list[int]) -> torch.Tensor:
        return torch.tensor([tokens], device=self._model.device)

    def _positions(self, row: Row) -> dict[str, Any]:
        """Return the positions of a row's tokens where a cache cannot be asked how many it has."""
        if not self.makes_cache or "position_ids" not in self._parameters:
            return {}
        end = row.sequence.read
        return {"position_ids": self._tensor([*range(end - len(row.tokens), end)])}

    def _last_logits(self) -> dict[str, Any]:
        return {"logits_to_keep": 1} if "logits_to_keep" in self._parameters else {}


def _has_cache_of_its_own(model: Any) -> bool:
    """Whether the module of a model has a class of caches, so that it takes no other."""
    module = sys.modules[type(model).__module__]
    return any(
        isinstance(one, type) and issubclass(one, Cache) and one.__module__ == module.__name__
        for one in vars(module).values()
    )
