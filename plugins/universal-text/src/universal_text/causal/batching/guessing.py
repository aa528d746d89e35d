"""Guessing ahead: who guesses, when it pays, and what becomes of the guesses in a step."""

from typing import Any

from universal_core import LoadFailed
from universal_core.continuous_batching import Cache, GuessedSequence, Guesser, Guesses, Lookup
from universal_core.conversation import Row, Sequence
from universal_text.causal.batching.draft import load_draft
from universal_text.causal.vocabulary import TokenizerVocabulary
from universal_text.options import CausalOptions


class Guessing:
    """Has the guesses for an answer alone checked in the step that reads its last token.

    To check a token costs nearly nothing where a pass is spent on reading the weights, as it is for one answer. Where
    several write they share that cost already, and a guess, which may be wrong, costs what a token of theirs does.
    """

    def __init__(self, cache: Cache, guesser: Guesser | None) -> None:
        self._cache = cache
        self._guesser = guesser
        self._guesses: list[int] = []

    def add(self, rows: list[Row]) -> list[Row]:
        """Return the rows to read: what was guessed wrong before them is forgotten, and one alone has guesses."""
        for row in rows:
            length = row.sequence.read - len(row.tokens)
            if len(row.sequence.state.tokens) > length:
                self._cache.cut(row.sequence.state, length)
        self._guesses = self._guessed(rows[0]) if len(rows) == 1 else []
        if not self._guesses:
            return rows
        return [Row(rows[0].sequence, rows[0].tokens + self._guesses, rows[0].wanted + len(self._guesses))]

    def told(self, outcomes: list[Any]) -> list[Any]:
        """Return what became of the rows that were handed in: logits for the guesses with these."""
        if not self._guesses or outcomes[0] is None or isinstance(outcomes[0], Exception):
            return outcomes
        return [Guesses(outcomes[0], self._guesses)]

    def forget(self, sequence: Sequence) -> None:
        """Free what was kept for a sequence."""
        if self._guesser is not None:
            self._guesser.forget(sequence)

    def _guessed(self, row: Row) -> list[int]:
        sequence = row.sequence
        if self._guesser is None or not sequence.written or not isinstance(sequence, GuessedSequence):
            return []
        most = sequence.guessable
        guesses = self._guesser.guess(sequence)[:most] if most else []
        return guesses if self._cache.make_room(len(row.tokens) + len(guesses)) else []


def guesser_of(options: CausalOptions, vocabulary: TokenizerVocabulary, choices: int) -> Guesser | None:
    """Return what guesses ahead for a model that can write ``choices`` tokens; None where the options want nothing.

    A draft model goes before the lookup. Raises LoadFailed.
    """
    if options.draft_model:
        return load_draft(options.draft_model, options, vocabulary, choices)
    return Lookup(options.lookup_tokens) if options.lookup_tokens else None


def refuse_alone(options: CausalOptions, reason: str) -> None:
    """Raise LoadFailed for options that mean nothing where answers are computed one by one, for some reason."""
    wanted = [name for name in ("draft_model", "lookup_tokens", "cache_tokens") if getattr(options, name)]
    if wanted:
        raise LoadFailed(
            f"{' and '.join(wanted)} cannot be had with this model: {reason}, and only answers that are computed "
            "together have a cache in common, in which wrong guesses can be taken back; leave the option out"
        )
