"""One step of a model for a set of sequences: cache, decoder and threads put to work."""

import threading
import time
from typing import Any, cast

from universal_core import InternalError
from universal_core.continuous_batching import Cache, Guesser, Guesses, Pace
from universal_core.conversation import Row, Sequence
from universal_gguf.generation.decoder import Decoder, Outcome, Piece
from universal_gguf.generation.sequence import MediaSequence
from universal_gguf.threads import Threads


class BatchRunner:
    """Reads the tokens of all rows in one call of llama.cpp, or one for each adapter.

    ``turn`` is held while it computes: contexts over the same weights share the same cores.
    """

    def __init__(
        self,
        decoder: Decoder,
        cache: Cache,
        pace: Pace,
        threads: Threads,
        turn: threading.Lock,
        guesser: Guesser | None = None,
    ) -> None:
        self._decoder = decoder
        self._cache = cache
        self._pace = pace
        self._threads = threads
        self._turn = turn
        self._guesser = guesser

    def step(self, rows: list[Row]) -> list[Any]:
        """Return the logits after each row, None where they are not wanted or nobody waits any more.

        Pictures and recordings are read one by one before the rest.
        """
        outcomes = {place: self._see(row) for place, row in enumerate(rows) if row.tokens[0] < 0}
        groups = self._by_adapter(rows)
        waiting = sum(len(row.tokens) for row in rows if row.tokens[0] >= 0)
        for number, places in enumerate(groups, 1):
            mine = [rows[place] for place in places]
            read = self._read(mine, waiting, last=number == len(groups))
            outcomes.update(zip(places, read, strict=True))
            waiting -= sum(len(row.tokens) for row in mine)
        return [outcomes[place] for place in range(len(rows))]

    def _by_adapter(self, rows: list[Row]) -> list[list[int]]:
        """Return the places of the rows of text, those of one adapter together: a call of llama.cpp has but one.

        The adapter of the last call comes first, because another one takes time.
        """
        groups: dict[str | None, list[int]] = {}
        for place, row in enumerate(rows):
            if row.tokens[0] >= 0:
                groups.setdefault(row.sequence.adapter, []).append(place)
        return [groups[adapter] for adapter in sorted(groups, key=lambda one: one != self._decoder.adapter)]

    def _see(self, row: Row) -> Any:
        """Read a part of a medium; return the logits after it, None where not wanted, or the exception it ended in."""
        sequence, held = cast(MediaSequence, row.sequence), row.sequence.state
        end = sequence.read
        place, medium = sequence.medium_at(end - len(row.tokens))
        part = slice(end - len(row.tokens) - place, end - place)
        with self._turn:
            position = held.position(place)
            held.spans[place] = medium.span
            self._decoder.use(sequence.adapter)
            self._cache.extend(held, row.tokens)
            code = self._decoder.see(held.number, position, medium, part, wanted=bool(row.wanted))
            if code == Outcome.DONE:
                return self._decoder.logits(1)[0].copy() if row.wanted else None
        return self._failure([row], code)

    def _read(self, rows: list[Row], waiting: int, *, last: bool) -> list[Any]:
        """Read rows of one adapter; ``waiting`` tokens, theirs among them, must find room in this step.

        Logits are the library's own memory where they come from the step's ``last`` call, else copies.
        """
        with self._turn:
            self._decoder.use(rows[0].sequence.adapter)
            guesses = self._guess(rows, waiting)
            pieces = [self._piece(row, guessed) for row, guessed in zip(rows, guesses, strict=True)]
            began = time.perf_counter()
            code = self._decoder.step(pieces)
            seconds = time.perf_counter() - began
        if code != Outcome.DONE:
            return [self._failure(rows, code)] * len(rows)
        answers = sum(row.wanted == 1 == len(row.tokens) for row in rows)
        prompt = sum(len(row.tokens) for row in rows) - answers
        self._pace.observe(answers, prompt, seconds)
        self._threads.adapt(self._decoder)
        return self._outcomes(rows, guesses, last=last)

    def copy(self, source: Sequence, target: Sequence) -> None:
        """Share what the source has read, which costs nothing; without a free number that waits for the turn to run."""
        target.state = self._cache.fork(source.state)

    def release(self, sequence: Sequence) -> None:
        """Keep what the sequence has read, for those that begin alike."""
        held, sequence.state = sequence.state, None
        if held is not None:
            self._cache.keep(held)
        if self._guesser is not None:
            with self._turn:
                self._guesser.forget(sequence)

    def interrupt(self, wanted: bool) -> None:
        """Let the running step end before its next operation."""
        self._decoder.interrupt(wanted)

    def _guess(self, rows: list[Row], waiting: int) -> list[list[int]]:
        """Return the tokens that each answer may go on with, where there is room to check them."""
        found: list[list[int]] = [[] for _ in rows]
        if self._guesser is None:
            return found
        own = taken = sum(len(row.tokens) for row in rows)
        for place, row in enumerate(rows):
            if row.wanted and row.sequence.written:
                guesses = self._guesser.guess(row.sequence)
                taken += len(guesses)
                spare = waiting - own
                if taken > self._decoder.size or not self._cache.make_room(taken + spare):
                    break
                found[place] = guesses
        return found

    def _piece(self, row: Row, guessed: list[int]) -> Piece:
        held = row.sequence.state
        length = row.sequence.read - len(row.tokens)
        if len(held.tokens) > length:  # Guesses that turned out wrong.
            self._cache.cut(held, length)
        tokens = row.tokens + guessed
        self._cache.extend(held, tokens)
        return Piece(held.number, held.position(length), tokens, row.wanted + len(guessed))

    def _outcomes(self, rows: list[Row], guesses: list[list[int]], *, last: bool) -> list[Any]:
        count = sum(row.wanted for row in rows) + sum(map(len, guesses))
        logits = self._decoder.logits(count) if count else None
        if logits is not None and not last:
            logits = logits.copy()
        outcomes: list[Any] = []
        place = 0
        for row, guessed in zip(rows, guesses, strict=True):
            if logits is None or not row.wanted:
                outcomes.append(None)
                continue
            after = logits[place : place + row.wanted + len(guessed)]
            outcomes.append(Guesses(after, guessed) if guessed else after[0] if len(after) == 1 else after)
            place += len(after)
        return outcomes

    def _failure(self, rows: list[Row], code: int) -> InternalError | None:
        """Return what to tell those whose step failed, None where nobody waits for it any more."""
        for row in rows:
            row.sequence.state.broken = True
        if code == Outcome.ABORTED:
            return None
        reason = "found no room in its cache" if code == Outcome.FULL else f"ended with code {code}"
        return InternalError(f"llama_decode {reason} for a step of {sum(len(row.tokens) for row in rows)} tokens")
