"""What an assistant's turn is made of, told while it is being written."""

from dataclasses import dataclass
from typing import Protocol

from universal_core.messages import FinishReason


@dataclass(frozen=True, slots=True)
class Content:
    """A part of the answer itself, character by character as it was written from ``start`` on."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Thought:
    """A part of what the model thinks."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A part of call number ``position``: first its name, with an id where the model gives one, then its arguments.

    ``arguments`` are parts of one JSON text.
    """

    position: int
    name: str | None = None
    id: str | None = None
    arguments: str = ""


Piece = Content | Thought | Call


class TurnParser(Protocol):
    """Takes a turn apart. It is handed the text of a turn in any portions, markers of its format included."""

    @property
    def thinking(self) -> bool:
        """Whether what comes next belongs to a thought, as far as is known."""

    @property
    def held(self) -> int:
        """How many characters at the end of what was fed are in no piece yet, since they may be part of a marker."""

    def feed(self, text: str) -> list[Piece]:
        """Return the pieces that a further text completes."""

    def close(self, reason: FinishReason) -> list[Piece]:
        """Return what was held back, when no more text comes; reason ``length`` says that the turn was cut."""


class PlainTurn:
    """A turn that is nothing but content."""

    thinking = False
    held = 0

    def __init__(self) -> None:
        self._read = 0

    def feed(self, text: str) -> list[Piece]:
        """Return the text as content."""
        start, self._read = self._read, self._read + len(text)
        return [Content(text, start)] if text else []

    def close(self, reason: FinishReason) -> list[Piece]:
        """Return nothing: nothing is held back."""
        return []
