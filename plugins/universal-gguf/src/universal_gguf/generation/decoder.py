"""One context of llama.cpp: tokens go in for many sequences at once, logits come out."""

import ctypes
import os
from collections.abc import Sequence
from enum import IntEnum

import llama_cpp
import numpy
from llama_cpp import llama_cpp as binding
from numpy.typing import NDArray

from universal_core import InternalError
from universal_gguf import log
from universal_gguf.generation.media import Medium
from universal_gguf.library import Weights

Logits = NDArray[numpy.float32]


class Outcome(IntEnum):
    """What became of a step, by llama_decode's code; negative codes are errors of the library."""

    DONE = 0
    FULL = 1
    ABORTED = 2


class Piece:
    """Tokens of one sequence in a step: the first stands at ``position``; logits come for the last ``wanted``."""

    __slots__ = ("position", "sequence", "tokens", "wanted")

    def __init__(self, sequence: int, position: int, tokens: Sequence[int], wanted: int) -> None:
        self.sequence = sequence
        self.position = position
        self.tokens = tokens
        self.wanted = wanted


class Decoder:
    """Computes steps of up to ``size`` tokens; it knows sequences by number only."""

    def __init__(self, weights: Weights, parameters: llama_cpp.llama_context_params) -> None:
        self.size = int(parameters.n_batch)
        self.vocabulary_size = weights.vocabulary.size
        self._stop = ctypes.create_string_buffer(2)
        parameters.abort_callback = _STOP_WHEN_WRITTEN
        parameters.abort_callback_data = ctypes.cast(self._stop, ctypes.c_void_p)
        self.pointer = weights.new_context(parameters)
        self._memory = llama_cpp.llama_get_memory(self.pointer)
        self._window = weights.window
        self._adapters = weights.adapters
        self.adapter: str | None = None
        self._allocate()

    @property
    def cells(self) -> int:
        """How many tokens all sequences together can have read."""
        return int(llama_cpp.llama_n_ctx(self.pointer))

    def _allocate(self) -> None:
        """Make the arrays of a batch once; numpy writes into them, llama.cpp reads them."""
        self._tokens = numpy.zeros(self.size, numpy.int32)
        self._positions = numpy.zeros(self.size, numpy.int32)
        self._sequences = numpy.zeros(self.size, numpy.int32)
        self._wanted = numpy.zeros(self.size, numpy.int8)
        # Each token is of one sequence: its list of sequences is one element of the array above.
        self._counts = numpy.ones(self.size, numpy.int32)
        self._count = numpy.arange(self.size, dtype=numpy.int32)
        first, step = self._sequences.ctypes.data, self._sequences.itemsize
        self._lists = numpy.arange(first, first + self.size * step, step, dtype=numpy.uintp)
        self._batch = binding.llama_batch(
            token=_as(self._tokens, ctypes.c_int32),
            pos=_as(self._positions, ctypes.c_int32),
            n_seq_id=_as(self._counts, ctypes.c_int32),
            seq_id=ctypes.cast(self._lists.ctypes.data, ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
            logits=_as(self._wanted, ctypes.c_int8),
        )

    def use(self, adapter: str | None) -> None:
        """Compute with an adapter of the weights from now on, None for the weights alone."""
        if adapter == self.adapter:
            return
        chosen = [] if adapter is None else [self._adapters[adapter]]
        pointers = (binding.llama_adapter_lora_p_ctypes * len(chosen))(*(one.pointer for one in chosen))
        scales = (ctypes.c_float * len(chosen))(*(one.scale for one in chosen))
        code = llama_cpp.llama_set_adapters_lora(self.pointer, pointers, len(chosen), scales)
        if code:
            raise InternalError(f"llama.cpp could not take the adapter {adapter}: it ended with code {code}")
        self.adapter = adapter

    def step(self, pieces: Sequence[Piece]) -> int:
        """Read all pieces, which have at most ``size`` tokens together; return an Outcome or a negative code."""
        start = 0
        for piece in pieces:
            end = start + len(piece.tokens)
            self._tokens[start:end] = piece.tokens
            self._positions[start:end] = self._count[: end - start]
            self._positions[start:end] += piece.position
            self._sequences[start:end] = piece.sequence
            self._wanted[start:end] = 0
            self._wanted[end - piece.wanted : end] = 1
            start = end
        self._batch.n_tokens = start
        return self._decode(self._batch)

    def see(self, sequence: int, position: int, medium: Medium, part: slice, *, wanted: bool) -> int:
        """Read a part of a medium that begins at ``position``; return an Outcome or a negative code.

        The part has at most ``size`` tokens; where ``wanted``, logits come for the last.
        """
        embeddings = numpy.ascontiguousarray(medium.embeddings[part], numpy.float32)
        positions = numpy.ascontiguousarray((medium.positions + medium.slopes * position)[:, part], numpy.int32)
        count = len(embeddings)
        self._sequences[:count] = sequence
        self._wanted[:count] = 0
        self._wanted[count - 1] = wanted
        batch = binding.llama_batch(
            n_tokens=count,
            embd=_as(embeddings, ctypes.c_float),
            pos=_as(positions, ctypes.c_int32),
            n_seq_id=self._batch.n_seq_id,
            seq_id=self._batch.seq_id,
            logits=self._batch.logits,
        )
        if medium.causal:
            return self._decode(batch)
        llama_cpp.llama_set_causal_attn(self.pointer, False)
        try:
            return self._decode(batch)
        finally:
            llama_cpp.llama_set_causal_attn(self.pointer, True)

    def logits(self, count: int) -> Logits:
        """Return the logits of the last step in the order in which they were wanted, ``[count, vocabulary]``.

        They are the library's own memory: the next step overwrites them.
        """
        pointer = llama_cpp.llama_get_logits(self.pointer)
        return numpy.ctypeslib.as_array(pointer, (count, self.vocabulary_size))

    def copy(self, source: int, target: int, length: int = -1) -> None:
        """Let ``target``, which is empty, share the first ``length`` positions of ``source``, all by default."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0 if length >= 0 else -1, length)

    def cut(self, sequence: int, length: int = 0) -> bool:
        """Forget what a sequence read after its first ``length`` positions; False where its state cannot be cut."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, length or -1, -1))

    def reaches(self, sequence: int, length: int) -> bool:
        """Whether all is there still that reading on after ``length`` positions of a sequence looks back at.

        What lies behind the window of a sliding-window layer is overwritten, in a cache of full size too.
        """
        if not self._window:
            return True
        first = llama_cpp.llama_memory_seq_pos_min(self._memory, sequence)
        return bool(first <= max(0, length - self._window))

    def use_threads(self, count: int, batch_count: int) -> None:
        """Compute with ``count`` threads, prompts with ``batch_count``."""
        llama_cpp.llama_set_n_threads(self.pointer, count, batch_count)

    def interrupt(self, wanted: bool) -> None:
        """End the running step before its next operation, or let the next ones run; from any thread."""
        (log.interrupted.set if wanted else log.interrupted.clear)()
        self._stop[0] = b"\1" if wanted else b"\0"

    def _decode(self, batch: llama_cpp.llama_batch) -> int:
        code = int(llama_cpp.llama_decode(self.pointer, batch))
        # Only the step that ends early may call that an error.
        log.interrupted.clear()
        return code

    def close(self) -> None:
        """Free the context."""
        self.interrupt(False)
        llama_cpp.llama_free(self.pointer)


def _as(array: numpy.ndarray, kind: type[ctypes._SimpleCData]) -> "ctypes._Pointer[ctypes._SimpleCData]":  # type: ignore[type-arg]
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))


# llama.cpp asks "shall I stop?" before each of a thousand operations a step. A function in Python would cost a step
# of a small model a tenth of its time, so it asks the C library how long a text is that we write: empty is "go on".
_C = ctypes.CDLL("msvcrt" if os.name == "nt" else None)
_STOP_WHEN_WRITTEN = ctypes.cast(_C.strlen, binding.ggml_abort_callback)
