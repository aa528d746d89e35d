"""Runs texts through a context that pools: token ids in, one vector for each text out."""

from collections.abc import Sequence

import llama_cpp
import numpy
from numpy.typing import NDArray

from universal_core import InsufficientMemory, InternalError, LoadFailed
from universal_gguf.generation.decoder import Decoder, Piece
from universal_gguf.library import Weights, context_parameters, on_processor
from universal_gguf.options import PooledOptions
from universal_gguf.pooled.packing import pack
from universal_gguf.pooled.pooling import Pooling, Vector
from universal_gguf.threads import Threads

# Every token's attention is computed against all tokens that go through the model with it, those of other texts too,
# and thrown away. On a processor that costs more than a larger step saves: all-MiniLM-L6-v2 embeds a quarter fewer
# texts a second at 1024 tokens than at 256, and texts of 16 to 128 tokens half as many at 2048.
_STEP_ON_CPU = 256
# llama.cpp computes the next token's scores for every token of a model that can write, 4 bytes x vocabulary each.
_STEP_WITH_SCORES = 512
_TEXTS = 128
_TEXTS_WITH_STATE = 8
_PADDING = 256
_NO_MEMORY = -2

Row = Sequence[int]


class Runner:
    """Turns rows of token ids into vectors of ``width`` numbers, many rows at once."""

    def __init__(self, weights: Weights, options: PooledOptions, pooling: Pooling, limit: int) -> None:
        """``limit`` is the most tokens that a row may have. Raises LoadFailed."""
        self.limit = limit
        self._weights = weights
        self._options = options
        self._pooling = pooling
        self._step = _step_size(options, pooling)
        # llama.cpp ends the process where more sequences are allowed than tokens.
        self._texts = min(_TEXTS_WITH_STATE if weights.is_recurrent else _TEXTS, self._step)
        self.width = _width(weights, pooling)
        self._threads = Threads(options.n_threads, options.n_threads)
        self._longest = min(self._step, limit)
        self._decoder = self._open(self._longest)

    def run(self, rows: Sequence[Row]) -> NDArray[numpy.float32]:
        """Return ``[rows, width]`` in the order of the rows. Raises InsufficientMemory for a row that needs more."""
        self._make_room(max(map(len, rows), default=0))
        vectors = numpy.empty((len(rows), self.width), numpy.float32)
        for group in pack([len(row) for row in rows], tokens=self._step, texts=self._texts):
            try:
                vectors[group] = self._read_together([rows[place] for place in group])
            finally:
                llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._decoder.pointer), False)
        return vectors

    def close(self) -> None:
        """Free the context."""
        self._decoder.close()

    def _read_together(self, rows: Sequence[Row]) -> list[Vector]:
        """Read rows that fit into one step, or a single one that does not."""
        if len(rows[0]) > self._decoder.size:
            return [self._read_in_parts(rows[0])]
        self._read([Piece(place, 0, row, len(row)) for place, row in enumerate(rows)])
        return [self._vector(place) for place in range(len(rows))]

    def _read_in_parts(self, row: Row) -> Vector:
        """Read a row that is longer than a step, as a model can that looks back only."""
        parts: list[tuple[Vector, int]] = []
        for start in range(0, len(row), self._decoder.size):
            tokens = row[start : start + self._decoder.size]
            self._read([Piece(0, start, tokens, len(tokens))])
            parts.append((self._vector(0).copy(), len(tokens)))
        return self._pooling.join(parts)

    def _read(self, pieces: Sequence[Piece]) -> None:
        code = self._decoder.step(pieces)
        if code == _NO_MEMORY:
            tokens = sum(len(piece.tokens) for piece in pieces)
            raise InsufficientMemory(
                f"llama.cpp had no memory for a step of {tokens} tokens; a smaller n_batch may fit"
            )
        if code:
            raise InternalError(f"llama.cpp could not compute a step: code {code}")
        self._threads.adapt(self._decoder)

    def _vector(self, sequence: int) -> Vector:
        """Return a text's vector, in the library's own memory: the next step overwrites it."""
        pointer = llama_cpp.llama_get_embeddings_seq(self._decoder.pointer, sequence)
        return numpy.ctypeslib.as_array(pointer, (self.width,))

    def _make_room(self, longest: int) -> None:
        """Open a larger context where a row is longer than all before: most texts are far from a model's longest."""
        if longest <= self._longest:
            return
        wanted = min(self.limit, 1 << (longest - 1).bit_length())
        try:
            larger = self._open(wanted)
        except LoadFailed as error:
            raise InsufficientMemory(f"a text of {longest} tokens does not fit into memory: {error.message}") from error
        self._decoder.close()
        self._decoder, self._longest = larger, wanted

    def _open(self, longest: int) -> Decoder:
        """Make a context for rows of up to ``longest`` tokens."""
        parameters = context_parameters(self._options)
        parameters.embeddings = True
        parameters.pooling_type = self._pooling.type
        parameters.kv_unified = True
        parameters.n_seq_max = self._texts
        tokens = max(longest, self._step)
        parameters.n_ctx = -(-tokens // _PADDING) * _PADDING
        # What is not causal reads a text as a whole, in one step.
        parameters.n_batch = parameters.n_ubatch = self._step if self._pooling.is_causal else tokens
        decoder = Decoder(self._weights, parameters)
        self._threads.apply(decoder)
        return decoder


def _step_size(options: PooledOptions, pooling: Pooling) -> int:
    """Return the tokens of a step: what was asked for at most, and not more than pays."""
    pays = _STEP_ON_CPU if on_processor(options) else _STEP_WITH_SCORES if pooling.is_causal else options.n_batch
    return min(options.n_batch, pays)


def _width(weights: Weights, pooling: Pooling) -> int:
    count = llama_cpp.llama_model_n_cls_out if pooling.mode == "rank" else llama_cpp.llama_model_n_embd_out
    return int(count(weights.pointer))
