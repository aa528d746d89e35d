"""Stop strings that may lie across the borders of tokens."""

from collections.abc import Iterable, Sequence


class StopMatcher:
    """Passes text on until a stop string appears in it; nothing of a stop string ever gets through.

    Text is held back only while it may still become a stop string. An empty stop string is no stop string.
    """

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.found: str | None = None
        """The stop string that has appeared."""

    def feed(self, text: str) -> tuple[str, bool]:
        """Return the text that may go out now, and whether a stop string ended it."""
        if not self._stops:
            return text, False
        text = self._held + text
        found = [(place, stop) for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self._held = ""
            place, self.found = min(found)
            return text[:place], True
        kept = could_begin(text, self._stops)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept], False

    def flush(self) -> str:
        """Return what was held back; to be called when no more text comes."""
        held, self._held = self._held, ""
        return held


def could_begin(text: str, markers: Sequence[str]) -> int:
    """Return how many characters at the end of a text may be the beginning of one of the markers, and not yet all."""
    longest = max(map(len, markers), default=0)
    for size in range(min(longest - 1, len(text)), 0, -1):
        if any(marker.startswith(text[-size:]) for marker in markers):
            return size
    return 0


def half_marker(text: str, markers: Sequence[str]) -> int:
    """Return how many characters at the end of a text that was cut are half a marker, and so no part of what it says.

    A marker that begins with a letter is no such thing: half of it is words.
    """
    return could_begin(text, [marker for marker in markers if not marker[:1].isalnum()])
