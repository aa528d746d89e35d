"""Putting what is ready through a model: inputs of one shape together."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from universal_vision.loading import Inputs, Loaded

Forward = Callable[[Inputs], Tensor]


class Work(NamedTuple):
    """A picture or a text that is ready: tensors with a first dimension of 1, and the part of a model for them.

    ``tokens`` is how many tokens or patches it has.
    """

    forward: Forward
    inputs: Inputs
    tokens: int


class Row(NamedTuple):
    """What a model made of one picture or text: numbers in float32 on the CPU, and how many tokens it read."""

    values: Tensor
    tokens: int


class Runner:
    """Answers a list of work, in its order, on the device of a model."""

    def __init__(self, loaded: Loaded) -> None:
        self.device = loaded.device
        self._joined = loaded.joined

    @torch.inference_mode()
    def __call__(self, work: Sequence[Work]) -> list[Row]:
        """Return a row for each piece of work."""
        found: dict[int, Row] = {}
        for places in _alike(work):
            inputs = self._joined([work[place].inputs for place in places])
            rows = work[places[0]].forward(inputs).float().cpu()
            found.update((place, Row(row, work[place].tokens)) for place, row in zip(places, rows, strict=True))
        return [found[place] for place in range(len(work))]


def _alike(work: Sequence[Work]) -> Iterator[list[int]]:
    """Yield the places of pieces that go through the same part of a model in one shape."""
    groups: dict[object, list[int]] = {}
    for place, piece in enumerate(work):
        shapes = tuple((name, values.shape) for name, values in piece.inputs.items())
        groups.setdefault((piece.forward, shapes), []).append(place)
    yield from groups.values()
