"""A vocabulary of bytes and given tokens, and turns taken apart, for tests of dialects that need no model."""

import re
from collections.abc import Iterable, Iterator, Sequence

from universal_core.conversation import Call, Constraint, Content, Thought, TurnParser, Vocabulary
from universal_core.conversation.parsing import Piece
from universal_core.messages import FinishReason

END = 256


class Tokens(Vocabulary):
    """Every byte is a token, 256 ends an answer, and then come ``markers``, which are special, and ``words``."""

    def __init__(self, markers: Sequence[str] = (), words: Sequence[str] = (), ends: Sequence[str] = ()) -> None:
        self.names = dict(enumerate(("</s>", *markers, *words), start=END))
        self._special = range(END, END + 1 + len(markers))
        self._ids = {name: token for token, name in self.names.items()}
        self.size = END + len(self.names)
        self.ends = frozenset((END, *(self._ids[name] for name in ends)))

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Return the bytes, and the token of each name that stands in the text."""
        names = sorted(self._ids, key=len, reverse=True)
        found: list[int] = []
        for part in re.split("(" + "|".join(map(re.escape, names)) + ")", text):
            found += [self._ids[part]] if part in self._ids else part.encode()
        return found

    def decode(self, tokens: list[int]) -> str:
        """Return the text without markers."""
        return self.decode_all([token for token in tokens if token not in self._special])

    def decode_all(self, tokens: list[int]) -> str:
        """Return the text with markers."""
        return b"".join(map(self.bytes_of, tokens)).decode(errors="replace")

    def bytes_of(self, token: int) -> bytes:
        """Return a byte or the name of a token."""
        return bytes([token]) if token < END else self.names[token].encode()

    def is_special(self, token: int) -> bool:
        """Whether it is a marker."""
        return token in self._special


def splits(text: str) -> Iterator[list[str]]:
    """Yield a text whole, in pieces of one, two and three letters, and cut once and twice at every place."""
    for size in (len(text), 1, 2, 3):
        yield [text[at : at + size] for at in range(0, len(text), max(size, 1))]
    for first in range(1, len(text)):
        yield [text[:first], text[first:]]
        second = (first + len(text)) // 2
        yield [text[:first], text[first:second], text[second:]]


def read(parser: TurnParser, parts: Iterable[str], reason: FinishReason = "stop") -> list[Piece]:
    """Return all pieces of a turn, and see that contents stand where they say."""
    written, pieces = "", []
    for part in parts:
        written += part
        pieces += parser.feed(part)
        assert 0 <= parser.held <= len(written)
    pieces += parser.close(reason)
    for piece in pieces:
        if isinstance(piece, Content):
            assert written[piece.start : piece.start + len(piece.text)] == piece.text
    return pieces


def content(pieces: Iterable[Piece]) -> str:
    """Return the content of a turn."""
    return "".join(piece.text for piece in pieces if isinstance(piece, Content))


def thoughts(pieces: Iterable[Piece]) -> str:
    """Return what was thought."""
    return "".join(piece.text for piece in pieces if isinstance(piece, Thought))


def calls(pieces: Iterable[Piece]) -> list[tuple[str, str]]:
    """Return name and arguments of each call."""
    found: dict[int, tuple[str, str]] = {}
    for piece in pieces:
        if isinstance(piece, Call):
            name, arguments = found.get(piece.position, ("", ""))
            found[piece.position] = (name + (piece.name or ""), arguments + piece.arguments)
    return [found[position] for position in sorted(found)]


def fits(constraint: Constraint, tokens: Iterable[int]) -> bool:
    """Whether tokens may be written one after another, and the answer may end there."""
    constraint = constraint.copy()
    for token in tokens:
        if not allows(constraint, token):
            return False
        constraint.accept(token)
    return allows(constraint, END)


def allows(constraint: Constraint, token: int) -> bool:
    """Whether a token may come next."""
    mask = constraint.mask()
    return mask is None or bool(mask[token >> 3] >> (token & 7) & 1)
