"""The keys and values of all sequences, in one allocation for each layer."""

from typing import NamedTuple

import torch
from torch import Tensor

from universal_text.causal.batching.regions import Move, Regions


class Layer(NamedTuple):
    """What a layer keeps: ``[key-value heads, cells, head size]`` each."""

    keys: Tensor
    values: Tensor


class Store:
    """Keeps what layers know of tokens; the memory of a Cache.

    What it has for a layer is like that of another store, or else like what the layer writes first: in shape, format
    and device. On a processor only what has been written to takes memory.
    """

    def __init__(self, cells: int, like: "Store | None" = None) -> None:
        self._regions = Regions(cells)
        known: dict[int, Layer] = like._layers if like else {}
        self._layers: dict[int, Layer] = {layer: Layer(*map(self._room, kept)) for layer, kept in known.items()}

    @property
    def layers(self) -> frozenset[int]:
        """The layers that have written."""
        return frozenset(self._layers)

    @property
    def bytes_per_token(self) -> int:
        """How much a token takes in all layers together."""
        cells = self._regions.cells
        return sum(part.numel() * part.element_size() // cells for layer in self._layers.values() for part in layer)

    def fit(self, number: int, length: int) -> None:
        """Make room for the first ``length`` tokens of a sequence."""
        self._move(self._regions.fit(number, length))

    def start(self, number: int) -> int:
        """Return the cell of a sequence's first token; the others follow."""
        return self._regions.start(number)

    def write(self, layer: int, keys: Tensor, values: Tensor, cells: Tensor) -> Layer:
        """Keep keys and values ``[heads, tokens, size]`` of tokens in their cells; return all that the layer has."""
        kept = self._layers.get(layer)
        if kept is None:
            kept = self._layers[layer] = Layer(self._room(keys), self._room(values))
        kept.keys.index_copy_(1, cells, keys)
        kept.values.index_copy_(1, cells, values)
        return kept

    def copy(self, source: int, target: int, length: int = -1) -> None:
        """Let ``target``, which is empty, have the first ``length`` tokens of ``source``, all by default."""
        count = self._regions.length(source) if length < 0 else length
        self.fit(target, count)
        self._move([Move(self.start(source), self.start(target), count)])

    def cut(self, sequence: int, length: int = 0) -> bool:
        """Forget a sequence's tokens after the first ``length``; any can be."""
        self._regions.cut(sequence, length)
        return True

    def reaches(self, sequence: int, length: int) -> bool:
        """Whether a sequence can be read on after ``length`` tokens: all are kept, whatever looks back at them."""
        return True

    def _room(self, example: Tensor) -> Tensor:
        heads, _, size = example.shape
        return torch.empty(heads, self._regions.cells, size, dtype=example.dtype, device=example.device)

    @torch.inference_mode()
    def _move(self, moves: list[Move]) -> None:
        for source, target, count in moves:
            overlap = abs(source - target) < count
            for layer in self._layers.values():
                for part in layer:
                    found = part[:, source : source + count]
                    part[:, target : target + count] = found.clone() if overlap else found
