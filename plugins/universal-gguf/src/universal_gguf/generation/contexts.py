"""The contexts of a model: one of the usual size, and further ones over the same weights where a request asks."""

import logging
import threading
from collections.abc import Callable

import llama_cpp

from universal_core.continuous_batching import Cache, Guesser, Pace, Turns
from universal_core.conversation import Engine
from universal_gguf.generation.decoder import Decoder
from universal_gguf.generation.runner import BatchRunner
from universal_gguf.library import Weights, context_parameters, on_processor
from universal_gguf.options import GenerationOptions
from universal_gguf.steps import MOST_SCORED, checked_of, outputs_of, sequences_of, step_of
from universal_gguf.threads import Threads

log = logging.getLogger(__name__)

_TYPES = {
    "f32": 0,
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q5_0": 6,
    "q5_1": 7,
    "q8_0": 8,
    "iq4_nl": 20,
    "bf16": 30,
}
"""ggml_type in ggml.h."""

_SCALING = {"none": 0, "linear": 1, "yarn": 2, "longrope": 3}


class Lane:
    """One context with all that runs it."""

    def __init__(
        self,
        weights: Weights,
        options: GenerationOptions,
        size: int,
        cells: int,
        turn: threading.Lock,
        guesser: Guesser | None,
    ) -> None:
        self.size = size
        self._decoder = Decoder(weights, generation_parameters(options, cells))
        divisible = not weights.is_recurrent and (options.swa_full or not weights.window)
        cache = Cache(self._decoder, self._decoder.cells, sequences_of(options), divisible=divisible)
        threads = Threads(options.n_threads, options.n_threads_batch)
        threads.apply(self._decoder)
        step = step_of(options, processor=on_processor(options))
        pace = Pace(step)
        runner = BatchRunner(self._decoder, cache, pace, threads, turn, guesser if divisible else None)
        turns = Turns(cache, pace, slots=options.slots, size=step, quick=self._decoder.size, scored=MOST_SCORED)
        self.engine = Engine(runner, turns)

    def close(self) -> None:
        """End the engine, then free the context."""
        self.engine.close()
        self._decoder.close()


class Contexts:
    """Finds or makes the context that a request needs."""

    def __init__(
        self,
        weights: Weights,
        options: GenerationOptions,
        size: int,
        cells: Callable[[int], int],
        guesser: Guesser | None,
    ) -> None:
        """``cells`` says how many tokens a context of some size can have in its cache, for all requests together."""
        self._weights = weights
        self._options = options
        self._cells = cells
        self._guesser = guesser
        self._turn = threading.Lock()
        self._making = threading.Lock()
        self.usual = self._make(size)
        self._larger: dict[int, Lane] = {}

    @property
    def size(self) -> int:
        """How many tokens a request may have that asks for nothing."""
        return self.usual.size

    def larger(self, size: int) -> Lane:
        """Return a context for at least ``size`` tokens, made when first asked for and kept.

        Sizes are powers of two, so that there are a few of them whatever is asked for.
        """
        with self._making:
            rounded = 1 << (size - 1).bit_length()
            if rounded not in self._larger:
                self._larger[rounded] = self._make(rounded)
            return self._larger[rounded]

    def _make(self, size: int) -> Lane:
        return Lane(self._weights, self._options, size, self._cells(size), self._turn, self._guesser)

    def close(self) -> None:
        """End all engines and free all contexts."""
        for lane in (self.usual, *self._larger.values()):
            lane.close()


def generation_parameters(options: GenerationOptions, cells: int) -> llama_cpp.llama_context_params:
    """Return how a context for writing is made: one store of ``cells`` for all sequences, whole steps at a time."""
    parameters = context_parameters(options)
    parameters.n_ctx = cells
    parameters.n_batch = parameters.n_ubatch = max(options.n_batch, checked_of(options))
    parameters.n_seq_max = sequences_of(options)
    parameters.n_outputs_max = outputs_of(options)
    parameters.kv_unified = True
    parameters.swa_full = options.swa_full
    parameters.type_k, parameters.type_v = _TYPES[options.cache_type_k], _TYPES[options.cache_type_v]
    if options.rope_scaling is not None:
        parameters.rope_scaling_type = _SCALING[options.rope_scaling]
    for name in ("rope_freq_base", "rope_freq_scale", "yarn_ext_factor", "yarn_attn_factor"):
        _set(parameters, options, name)
    for name in ("yarn_beta_fast", "yarn_beta_slow", "yarn_orig_ctx"):
        _set(parameters, options, name)
    return parameters


def _set(parameters: llama_cpp.llama_context_params, options: GenerationOptions, name: str) -> None:
    value = getattr(options, name)
    if value is not None:
        setattr(parameters, name, value)
