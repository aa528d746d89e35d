"""llama.cpp's C API without a server: quantising a file, and the barest loop that decodes a batch."""

import ctypes
from pathlib import Path
from typing import Any

import llama_cpp
import numpy

_QUIET = llama_cpp.llama_log_callback(lambda level, text, data: None)
_BATCH = 2048

Sequences = list[list[int]]


def quantise(source: Path, target: Path, kind: str, threads: int) -> None:
    """Write a GGUF file anew in another type, for instance ``Q4_K_M``."""
    llama_cpp.llama_log_set(_QUIET, ctypes.c_void_p(0))
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    settings.nthread = threads
    code = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(settings))
    if code:
        raise RuntimeError(f"llama_model_quantize of {source} to {kind} returned {code}")


class Loop:
    """Decodes some sequences together, greedily, with nothing around it: the floor under every engine."""

    def __init__(self, path: Path, threads: int, slots: int, context: int) -> None:
        llama_cpp.llama_log_set(_QUIET, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        weights = llama_cpp.llama_model_default_params()
        weights.n_gpu_layers = 0
        self._model: Any = llama_cpp.llama_model_load_from_file(str(path).encode(), weights)
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max, settings.n_batch = context, slots, _BATCH
        settings.n_threads = settings.n_threads_batch = threads
        settings.kv_unified = settings.no_perf = True
        self._context: Any = llama_cpp.llama_init_from_model(self._model, settings)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(_BATCH, 0, 1)
        self.vocabulary: int = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))

    def read(self, prompts: Sequences) -> list[int]:
        """Decode prompts into an empty cache; return the token that follows each."""
        llama_cpp.llama_memory_clear(self._memory, True)
        self._lengths = [len(prompt) for prompt in prompts]
        return [self._read_one(prompt, sequence) for sequence, prompt in enumerate(prompts)]

    def step(self, tokens: list[int]) -> list[int]:
        """Decode one token of each sequence; return those that follow."""
        places = zip(tokens, self._lengths, range(len(tokens)), strict=True)
        self._decode([(token, position, sequence, True) for token, position, sequence in places])
        self._lengths = [length + 1 for length in self._lengths]
        return [int(self.logits(row).argmax()) for row in range(len(tokens))]

    def logits(self, row: int) -> Any:
        """Return a view of the logits of one row of the last batch; the next decode overwrites it."""
        return numpy.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self._context, row), shape=(self.vocabulary,))

    def close(self) -> None:
        """Give everything back."""
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def _read_one(self, prompt: list[int], sequence: int) -> int:
        last = len(prompt) - 1
        places = [(token, place, sequence, place == last) for place, token in enumerate(prompt)]
        for begin in range(0, len(places), _BATCH):
            self._decode(places[begin : begin + _BATCH])
        return int(self.logits(-1).argmax())

    def _decode(self, places: list[tuple[int, int, int, bool]]) -> None:
        batch = self._batch
        batch.n_tokens = len(places)
        for row, (token, position, sequence, wanted) in enumerate(places):
            batch.token[row], batch.pos[row], batch.logits[row] = token, position, wanted
            batch.n_seq_id[row], batch.seq_id[row][0] = 1, sequence
        if code := llama_cpp.llama_decode(self._context, batch):
            raise RuntimeError(f"llama_decode returned {code}")


def entropy(logits: Any, temperature: float = 1.0) -> float:
    """Return the entropy in bits of the distribution that logits stand for."""
    scaled = logits.astype("f8") / temperature
    weights = numpy.exp(scaled - scaled.max())
    shares = weights[weights > 0] / weights.sum()
    return float(-(shares * numpy.log2(shares)).sum())
