"""Cuts a text into pieces that are spoken one after another: its sentences, and parts of very long ones."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from sentencex import get_sentence_boundaries

LONGEST = 400
"""Characters of a piece; a longer sentence is cut where it pauses."""

# A text that goes on: in lower case, before which an abbreviation ends no sentence.
_PROBE = "next"
_ENDS_ALONE = re.compile(r"[。！？｡।॥]['\"”’」』）)]*$")  # noqa: RUF001
PAUSES = (r"[;:—–；：]\s*", r"[,，、]\s*", r"\s+")  # noqa: RUF001
_LEAST = 2


def split(text: str, language: str = "en") -> list[str]:
    """Return the pieces of a text in order; together they are the text.

    ``language`` is a code such as ``en`` or ``pt-BR``, whose abbreviations are known.
    """
    return [part for piece in _gathered(_sentences(text, language)) for part in cut(piece)]


def whole(text: str, language: str = "en") -> int:
    """Return how many characters of a text that goes on are whole sentences."""
    if _ENDS_ALONE.search(text):
        return len(text)
    # The last sentence may go on, unless there is a space after it and more text would begin another.
    limit = len(text) if text[-1:].isspace() else len(text) - 1
    found = max((start for start in _starts(text + _PROBE, language) if start <= limit), default=0)
    return found if _spoken(text[:found]) else 0


def _starts(text: str, language: str) -> Iterator[int]:
    for boundary in get_sentence_boundaries(_code(language), text):
        yield boundary["start_index"]


def _sentences(text: str, language: str) -> list[str]:
    starts = sorted({0, *_starts(text, language), len(text)})
    return [text[start:end] for start, end in pairwise(starts)]


def _code(language: str) -> str:
    return language.partition("-")[0].lower()


def _gathered(sentences: list[str]) -> Iterator[str]:
    """Join what is no sentence by itself, such as the number of a list or an initial, to what follows."""
    waiting = ""
    for sentence in sentences:
        waiting += sentence
        if _spoken(waiting) >= _LEAST:
            yield waiting
            waiting = ""
    if waiting:
        yield waiting


def _spoken(text: str) -> int:
    # A character of Chinese or Japanese is a syllable or a word.
    return sum(1 if character < "\u3000" else _LEAST for character in text if character.isalpha())


def cut(text: str, limit: int = LONGEST, pauses: Sequence[str] = PAUSES) -> Iterator[str]:
    """Yield parts of at most ``limit`` characters, cut at the last pause that fits, of the greatest kind there is."""
    while len(text) > limit:
        ends = (_last_end(pattern, text[:limit]) for pattern in pauses)
        end = next((end for end in ends if end), limit)
        yield text[:end]
        text = text[end:]
    yield text


def _last_end(pattern: str, text: str) -> int:
    ends = [match.end() for match in re.finditer(pattern, text)]
    return max((end for end in ends if end >= len(text) // 4), default=0)
