"""What a process has beside its model: Python's objects, libraries, what their allocators keep, and a CUDA context."""

import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from universal_core import MemoryEstimate, ModelInfo, Smaller

MEGABYTE = 10**6

# Measured after loading MiniLM and BERT-base (55 to 65 MB with their tokenizers): pages that a forked worker does not
# share with its nursery any more, the threads of its libraries, and what the allocator has ready.
_WORKER = 70 * MEGABYTE
# Where workers are not forked, each imports PyTorch and transformers for itself: a guess for macOS and Windows.
_IMPORTS = 220 * MEGABYTE
# In the machine's memory for CUDA's libraries, and on the device beside what PyTorch counts. Guesses: nobody has
# measured them for this project.
_CUDA_HOST, _CUDA_CONTEXT = 1200 * MEGABYTE, 500 * MEGABYTE
# Of a vocabulary the tokenizer keeps tables in both directions: so many times the size of its file.
_TOKENIZER = 6.0

Options = TypeVar("Options", bound=msgspec.Struct)


class Overhead(NamedTuple):
    """Bytes that a process has in the machine's memory, and on the device that its model is on."""

    host: int
    device: int


def overhead(info: ModelInfo, device: str) -> Overhead:
    """Return what the worker of a model has beside the model."""
    host = _WORKER + int(_TOKENIZER * info.size_of("tokenizer.json", "tokenizer.model", "vocab.txt", "spiece.model"))
    if not sys.platform.startswith("linux"):
        host += _IMPORTS
    return Overhead(host + _CUDA_HOST, _CUDA_CONTEXT) if device.startswith("cuda") else Overhead(host, 0)


def cheaper(
    estimate: Callable[[Options], MemoryEstimate], options: Options, changes: Mapping[str, Mapping[str, object]]
) -> MemoryEstimate:
    """Return an estimate with those of some changes to the options that take less, by the words that advise them."""
    found = estimate(options)
    others = [Smaller(words, estimate(_changed(options, change)).total) for words, change in changes.items()]
    smaller = sorted((one for one in others if one.total < found.total), key=lambda one: -one.total)
    return msgspec.structs.replace(found, smaller=tuple(smaller))


def _changed(options: Options, change: Mapping[str, object]) -> Options:
    return msgspec.structs.replace(options, **change)
