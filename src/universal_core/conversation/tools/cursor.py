"""A place in a text that is still being written.

What reads there is a generator: it yields None where it needs more text than there is, and pieces as it finds them, so
that a format is written down as if the whole text stood there already.
"""

from collections.abc import Generator
from typing import TypeVar

from universal_core.conversation.parsing import Piece

Result = TypeVar("Result")

Reading = Generator[Piece | None, None, Result]
"""Reads on: yields pieces, or None to wait for more text, and returns what it found."""

Waiting = Generator[None, None, Result]
"""Reads on without pieces of its own."""


class Cursor:
    """Stands at ``at`` in ``text``, of which the first ``dropped`` characters are no longer kept."""

    def __init__(self) -> None:
        self.text = ""
        self.at = 0
        self.dropped = 0
        self.closed = False

    @property
    def place(self) -> int:
        """How many characters of the whole text are behind."""
        return self.dropped + self.at

    @property
    def rest(self) -> str:
        """What is known of the text from here on."""
        return self.text[self.at :]

    def add(self, text: str) -> None:
        """Take further text."""
        self.text += text

    def forget(self) -> None:
        """Drop what is behind; nobody may go back after that."""
        self.dropped += self.at
        self.text = self.text[self.at :]
        self.at = 0

    def more(self) -> Waiting[bool]:
        """Wait for further text; return whether there may be some."""
        if self.closed:
            return False
        yield None
        return True

    def one_of(self, options: tuple[str, ...]) -> Waiting[str | None]:
        """Go behind the longest of the texts that stands here, and return it; None where none does."""
        while True:
            text, at = self.text, self.at
            rest = text[at : at + max(map(len, options), default=0)]
            open_still = not self.closed and any(len(one) > len(rest) and one.startswith(rest) for one in options)
            if not open_still:
                found = max((one for one in options if rest.startswith(one)), key=len, default=None)
                self.at += len(found or "")
                return found
            yield None

    def literal(self, text: str) -> Waiting[bool]:
        """Go behind a text if it stands here, and return whether it does."""
        return (yield from self.one_of((text,))) is not None

    def spaces(self) -> Waiting[None]:
        """Go behind white space."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self.text) or not (yield from self.more()):
                return

    def next(self) -> Waiting[str]:
        """Return the character here without going behind it; nothing at the end."""
        while self.at >= len(self.text):
            if not (yield from self.more()):
                return ""
        return self.text[self.at]

    def until(self, end: str) -> Waiting[str | None]:
        """Go behind the next ``end`` and return what stands before it; None where there is none."""
        start = searched = self.at
        while (found := self.text.find(end, searched)) < 0:
            searched = max(start, len(self.text) - len(end) + 1)
            if not (yield from self.more()):
                return None
        self.at = found + len(end)
        return self.text[start:found]
