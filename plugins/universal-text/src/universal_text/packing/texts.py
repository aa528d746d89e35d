"""Where the texts of a forward pass stand."""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor


class Texts:
    """Texts one behind the other; ``layers`` counts how often they were attended to."""

    def __init__(self, lengths: Sequence[int]) -> None:
        """``lengths`` are the tokens of each text, in their order."""
        self.lengths = list(lengths)
        self.tokens = sum(lengths)
        self.layers = 0
        self.runs = [(len(list(run)), length) for length, run in groupby(self.lengths)]
        self._padded: tuple[Tensor, Tensor] | None = None

    def positions(self, first: int) -> Tensor:
        """Return (tokens): the place of each token in its text, counted from ``first``."""
        return torch.cat([torch.arange(first, first + length) for length in self.lengths])

    def padded(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return where the tokens of each text stand, and which of them there are, both (texts, longest)."""
        if self._padded is None:
            lengths = torch.tensor(self.lengths)
            real = torch.arange(max(self.lengths)) < lengths[:, None]
            starts = lengths.cumsum(0) - lengths
            places = (starts[:, None] + torch.arange(real.shape[1])) * real
            self._padded = places.to(device), real.to(device)
        return self._padded
