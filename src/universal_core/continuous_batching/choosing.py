"""What samplers have in common: tokens that were seen, and what grammars rule out."""

from array import array

import numpy
from numpy.typing import NDArray

_BITS = numpy.unpackbits(numpy.arange(256, dtype=numpy.uint8)[:, None], axis=1, bitorder="little")
ADDED_BY_MASK: NDArray[numpy.float32] = numpy.where(_BITS == 1, 0, -numpy.inf).astype(numpy.float32)
"""What each byte of a constraint's mask adds to eight logits, ``[256, 8]``: far quicker to look up than bit by bit."""


class Counts:
    """The different tokens that were seen, and how often; adding one costs the same at any length."""

    def __init__(self, tokens: list[int]) -> None:
        self._places: dict[int, int] = {}
        self._tokens = array("q")
        self._counts = array("f")
        for token in tokens:
            self.add(token)

    def add(self, token: int) -> None:
        """Count a token."""
        place = self._places.setdefault(token, len(self._tokens))
        if place == len(self._tokens):
            self._tokens.append(token)
            self._counts.append(0)
        self._counts[place] += 1

    @property
    def tokens(self) -> NDArray[numpy.int64]:
        """The tokens that were seen, each once."""
        return numpy.array(self._tokens, numpy.int64)

    @property
    def counts(self) -> NDArray[numpy.float32]:
        """How often each of them was seen."""
        return numpy.array(self._counts, numpy.float32)
