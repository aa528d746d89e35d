"""Guesses from a small model that writes alike: it goes ahead, and the large one checks all it wrote in one step."""

from pathlib import Path

import numpy

from universal_core import LoadFailed, Progress
from universal_core.continuous_batching import Cache, Held, common
from universal_core.conversation import Sequence
from universal_gguf.generation.decoder import Decoder, Logits, Outcome, Piece
from universal_gguf.generation.sequence import MediaSequence
from universal_gguf.library import ALL_LAYERS, Weights, context_parameters
from universal_gguf.options import GenerationOptions
from universal_gguf.threads import Threads
from universal_gguf.vocabulary import GgufVocabulary

_STEP = 512
_SURE = 0.5


class DraftModel:
    """Writes a few tokens ahead of each answer, the likeliest always, and stops where it is not sure."""

    def __init__(self, file: Path, options: GenerationOptions, vocabulary: GgufVocabulary, cells: int) -> None:
        """Load the small model. Raises LoadFailed, also for one whose tokens are not those of ``vocabulary``."""
        self._weights = Weights([str(file)], options, ALL_LAYERS, _unheard)
        size = self._weights.vocabulary.size
        if size != vocabulary.size or self._weights.is_recurrent:
            recurrent = "keeps a state that cannot go back" if self._weights.is_recurrent else f"knows {size} tokens"
            self._weights.close()
            raise LoadFailed(
                f"draft_model {file.name} {recurrent}: it must have the {vocabulary.size} tokens of the model itself, "
                "and only layers with a key-value cache; name another one, or leave the option out"
            )
        parameters = context_parameters(options)
        parameters.n_ctx = cells
        parameters.n_batch = parameters.n_ubatch = _STEP
        parameters.n_seq_max = parameters.n_outputs_max = options.slots
        parameters.kv_unified = True
        self._decoder = Decoder(self._weights, parameters)
        self._cache = Cache(self._decoder, self._decoder.cells, options.slots)
        self._threads = Threads(options.n_threads, options.n_threads_batch)
        self._threads.apply(self._decoder)
        self._held: dict[Sequence, Held] = {}
        self._count = options.draft_tokens

    def guess(self, sequence: Sequence) -> list[int]:
        """Return what the small model goes on with; nothing while it has not caught up with a long prompt."""
        if isinstance(sequence, MediaSequence) and sequence.media:  # The small model does not see.
            return []
        held = self._held.get(sequence)
        if held is None:
            if len(self._held) == self._cache.sequences:
                return []
            held = self._held[sequence] = self._cache.begin(sequence.tokens)
        known = common(held.tokens, sequence.tokens)
        if known < len(held.tokens):
            self._cache.cut(held, known)
        logits = self._read(held, sequence.tokens[known : known + _STEP])
        if logits is None or len(held.tokens) < len(sequence.tokens):
            return []
        return self._go_on(held, logits)

    def forget(self, sequence: Sequence) -> None:
        """Keep what was read of a sequence as a prefix for others."""
        held = self._held.pop(sequence, None)
        if held is not None:
            self._cache.keep(held)

    def close(self) -> None:
        """Free the small model."""
        self._decoder.close()
        self._weights.close()

    def _go_on(self, held: Held, logits: Logits) -> list[int]:
        guesses: list[int] = []
        while True:
            token = int(logits.argmax())
            # The likelihood of the best token is 1 / sum(exp(logit - its logit)).
            if numpy.exp(logits - logits[token]).sum() > 1 / _SURE or token in self._weights.vocabulary.ends:
                return guesses
            guesses.append(token)
            if len(guesses) == self._count:
                return guesses
            following = self._read(held, [token])
            if following is None:
                return guesses
            logits = following

    def _read(self, held: Held, tokens: list[int]) -> Logits | None:
        """Read tokens and return the logits after the last, None where there is no room."""
        if not tokens or not self._cache.make_room(len(tokens)):
            return None
        position = len(held.tokens)
        self._cache.extend(held, tokens)
        if self._decoder.step([Piece(held.number, position, tokens, 1)]) != Outcome.DONE:
            held.broken = True
            return None
        self._threads.adapt(self._decoder)
        after: Logits = self._decoder.logits(1)[0].copy()
        return after


def _unheard(progress: Progress) -> None:
    """Tell nobody: the load of the model itself is what is reported."""
