"""Guessing ahead: tokens that are checked all at once, and taken as far as the model would have chosen them.

The answer is the same as without: every token is chosen from the model's own logits, and a guess only spares the
steps in which the choice agrees with it (https://arxiv.org/abs/2211.17192, with the sampled token for the target).
"""

from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Protocol

from universal_core.conversation import Sequence
from universal_core.messages import Event

_LONGEST, _SHORTEST = 4, 2


@dataclass(frozen=True, slots=True)
class Guesses:
    """The logits after the last token and after each guessed one, ``[1 + guesses, vocabulary]``, and the guesses."""

    logits: Any
    tokens: list[int]


class Guesser(Protocol):
    """Says what an answer may go on with."""

    def guess(self, sequence: Sequence) -> list[int]:
        """Return some tokens, or none; the sequence's last token has not been read yet."""

    def forget(self, sequence: Sequence) -> None:
        """Free what was kept for a sequence."""


class GuessedSequence(Sequence):
    """An answer that can take several tokens of one step."""

    @property
    def guessable(self) -> int:
        """How many guesses could be of use: one token is chosen after the last of them."""
        return self._limit - self.written - 1

    def accept(self, logits: Any) -> list[Event]:
        """Choose the next token, and go on as long as the choice is what was guessed."""
        if not isinstance(logits, Guesses):
            return super().accept(logits)
        events: list[Event] = []
        for place, row in enumerate(logits.logits):
            events += super().accept(row)
            if self.finished or place == len(logits.tokens) or self.tokens[-1] != logits.tokens[place]:
                break
        self.read = len(self.tokens) - 1
        return events


class Lookup:
    """Guesses that what followed the last few tokens when they were there before follows them again.

    Of great help where an answer repeats its prompt: code that is edited, documents that are quoted
    (https://github.com/apoorvumang/prompt-lookup-decoding).
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._places: dict[Sequence, dict[tuple[int, ...], int]] = {}
        self._indexed: dict[Sequence, int] = {}

    def guess(self, sequence: Sequence) -> list[int]:
        """Return what followed the longest ending of the tokens that occurs earlier in them."""
        tokens, places = sequence.tokens, self._places.setdefault(sequence, {})
        for end in range(self._indexed.get(sequence, 0), len(tokens)):
            for size in range(_SHORTEST, _LONGEST + 1):
                if end >= size:
                    places[tuple(tokens[end - size : end])] = end
        self._indexed[sequence] = len(tokens)
        for size in range(_LONGEST, _SHORTEST - 1, -1):
            place = places.get(tuple(tokens[-size:]))
            if place is not None and len(tokens) >= size:
                return [*takewhile(_is_token, tokens[place : place + self._count])]
        return []

    def forget(self, sequence: Sequence) -> None:
        """Drop the index of a sequence."""
        self._places.pop(sequence, None)
        self._indexed.pop(sequence, None)


def _is_token(token: int) -> bool:
    """Whether it is none that stands for a part of a picture or a recording."""
    return token >= 0
