"""How a model's vectors, one for each token, become one for a text."""

from collections.abc import Sequence
from typing import Literal

import llama_cpp
import msgspec
import numpy
from numpy.typing import NDArray

from universal_core import LoadFailed
from universal_gguf.architectures import ENCODERS
from universal_gguf.header import Header

Mode = Literal["mean", "cls", "last", "rank"]
Vector = NDArray[numpy.float32]

_MODES: tuple[Mode, ...] = ("mean", "cls", "last", "rank")
_TYPES: dict[Mode, int] = {
    "mean": llama_cpp.LLAMA_POOLING_TYPE_MEAN,
    "cls": llama_cpp.LLAMA_POOLING_TYPE_CLS,
    "last": llama_cpp.LLAMA_POOLING_TYPE_LAST,
    "rank": llama_cpp.LLAMA_POOLING_TYPE_RANK,
}
# llama.cpp ends these with a softmax over "yes" and "no", so that their score is a probability already.
_PROBABILITIES = frozenset({"qwen3", "qwen3vl"})


class Pooling(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with the vectors of a text's tokens.

    ``is_causal``: no token looks at later ones, so that a text may be read in parts. ``is_probability``: scores are
    from 0 to 1 already.
    """

    mode: Mode
    is_causal: bool
    is_probability: bool = False

    @property
    def type(self) -> int:
        """llama.cpp's number of it."""
        return _TYPES[self.mode]

    def join(self, parts: Sequence[tuple[Vector, int]]) -> Vector:
        """Return the vector of a text that was read in parts, from each part's vector and its number of tokens."""
        if self.mode == "mean":
            vectors, tokens = zip(*parts, strict=True)
            return numpy.average(vectors, axis=0, weights=tokens).astype(numpy.float32)
        return parts[0 if self.mode == "cls" else -1][0]


def pooling_of(header: Header, option: Mode | None) -> Pooling:
    """Return how a model pools: by the option, else by its file, else the last token's of a model that looks back
    only, and the mean of any other. Raises LoadFailed for rank without a classifier.
    """
    causal_key = f"{header.architecture}.attention.causal"
    is_causal = header.architecture not in ENCODERS and header.metadata.get(causal_key) is not False
    told = next((mode for mode in _MODES if mode == (option or header.pooling_type)), None)
    mode = told or ("last" if is_causal else "mean")
    if mode == "rank" and not any(tensor.name.startswith("cls.") for tensor in header.tensors):
        raise LoadFailed("pooling is rank, but this model has no classifier that would score documents")
    return Pooling(mode=mode, is_causal=is_causal, is_probability=header.architecture in _PROBABILITIES)
