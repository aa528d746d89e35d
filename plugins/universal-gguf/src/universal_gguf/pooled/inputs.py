"""From requests to rows of token ids, with what is wrong about a request found before any work."""

from collections.abc import Sequence

from universal_core import BadRequest, ContextLengthExceeded, EmbedRequest
from universal_gguf.vocabulary import GgufVocabulary


class Inputs:
    """Reads the inputs of embedding requests for one model."""

    def __init__(self, vocabulary: GgufVocabulary, *, limit: int, width: int) -> None:
        """``limit`` is the most tokens that an input may have, ``width`` the length of the model's vectors."""
        self._vocabulary = vocabulary
        self._limit = limit
        self._width = width
        self._before, self._after = _surroundings(vocabulary)

    def read(self, request: EmbedRequest) -> list[Sequence[int]]:
        """Return the token ids of each input. Raises BadRequest, and ContextLengthExceeded with the numbers."""
        if request.dimensions is not None and not 1 <= request.dimensions <= self._width:
            message = f"dimensions must be from 1 to {self._width} for this model, not {request.dimensions}."
            raise BadRequest(message, param="dimensions")
        rows = [self._row(item) for item in request.input]
        for place, row in enumerate(rows):
            if not row:
                raise BadRequest(f"Input {place} has no tokens, so it has no vector; leave it out.", param="input")
            check_length(row, self._limit, f"Input {place}", param="input")
        return rows

    def _row(self, item: str | tuple[int, ...]) -> Sequence[int]:
        if isinstance(item, str):
            return self._vocabulary.encode(item, special=True)
        self._vocabulary.check(item, "input")
        return self._surrounded(list(item))

    def _surrounded(self, tokens: list[int]) -> list[int]:
        """Return ids as the same text would have them; those that bring their special tokens get no second set."""
        before, after = self._before, self._after
        has_both = tokens[: len(before)] == before and tokens[len(tokens) - len(after) :] == after
        return tokens if has_both and len(tokens) >= len(before) + len(after) else [*before, *tokens, *after]


def check_length(row: Sequence[int], limit: int, what: str, *, param: str) -> None:
    """Raise ContextLengthExceeded for a row that is longer than ``limit``."""
    if len(row) > limit:
        message = f"{what} has {len(row)} tokens, but this model reads at most {limit}; shorten it or split it."
        raise ContextLengthExceeded(message, param=param)


def _surroundings(vocabulary: GgufVocabulary) -> tuple[list[int], list[int]]:
    """Return the ids that the tokenizer puts before and after a text, read off a text."""
    bare, whole = vocabulary.encode("a", special=False), vocabulary.encode("a", special=True)
    places = range(len(whole) - len(bare) + 1)
    place = next((place for place in places if bare and whole[place : place + len(bare)] == bare), 0)
    return whole[:place], whole[place + len(bare) :]
