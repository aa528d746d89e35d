"""The content of an answer on its way out: up to a stop string, each token's log-probability with its text."""

from collections.abc import Sequence

from universal_core.conversation.parsing import Content
from universal_core.conversation.stops import StopMatcher
from universal_core.messages import TokenLogprob

Told = tuple[str, list[TokenLogprob]]
Span = tuple[int, int]


class ContentStream:
    """Passes content on until a stop string appears in it, with the log-probabilities of its tokens.

    A token goes out with the text in which it begins. Places are counted in characters of the whole turn, which has
    thoughts and calls between its contents.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = StopMatcher(stops)
        self._waiting: list[Span] = []
        self._entries: list[tuple[int, TokenLogprob]] = []

    @property
    def stop(self) -> str | None:
        """The stop string that ended it, where one did."""
        return self._stops.found

    def note(self, start: int, entry: TokenLogprob) -> None:
        """Keep what is known of the token that begins at a place, until its text goes out."""
        self._entries.append((start, entry))

    def feed(self, piece: Content) -> tuple[Told, bool]:
        """Return what may go out now, and whether a stop string ended it."""
        self._waiting.append((piece.start, piece.start + len(piece.text)))
        text, stopped = self._stops.feed(piece.text)
        return (text, self._take(len(text))), stopped

    def flush(self) -> Told:
        """Return what was held back for a stop string that does not come."""
        text = self._stops.flush()
        return text, self._take(len(text))

    def rest(self) -> Told:
        """Return what was held back, and all tokens that are left: they have no text."""
        text, entries = self.flush()
        left, self._entries = self._entries, []
        return text, entries + [entry for _, entry in left]

    def forget(self, end: int) -> None:
        """Drop the tokens before a place that turned out not to be content."""
        self._entries = [pair for pair in self._entries if pair[0] >= end or _lies_in(pair[0], self._waiting)]

    def _take(self, count: int) -> list[TokenLogprob]:
        """Return the tokens that begin in the next ``count`` characters that wait."""
        taken: list[Span] = []
        while count:
            start, end = self._waiting[0]
            middle = min(end, start + count)
            taken.append((start, middle))
            count -= middle - start
            self._waiting[:1] = [(middle, end)] if middle < end else []
        ready = [entry for start, entry in self._entries if _lies_in(start, taken)]
        if ready:
            self._entries = [pair for pair in self._entries if not _lies_in(pair[0], taken)]
        return ready


def _lies_in(place: int, spans: Sequence[Span]) -> bool:
    return any(start <= place < end for start, end in spans)
