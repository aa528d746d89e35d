"""Text from tokens, as they come."""

from collections.abc import Callable, Sequence

_BROKEN = "\N{REPLACEMENT CHARACTER}"
_PATIENCE = 8


class Detokenizer:
    """Turns tokens into text one at a time and never emits half a character.

    ``decode`` turns a list of token ids into text, with U+FFFD for bytes that form no character. Only the tokens
    since the last text but one are ever decoded, so a token costs the same at any length of the answer.
    ``before`` holds tokens that come before the first one and whose text is known already: some tokenizers
    drop the space at the very beginning of a text.
    """

    def __init__(self, decode: Callable[[list[int]], str], before: Sequence[int] = ()) -> None:
        self._decode = decode
        self._window = list(before[-_PATIENCE:])
        self._read = len(self._window)
        self._known = len(decode(self._window).rstrip(_BROKEN)) if self._window else 0

    def feed(self, token: int) -> str:
        """Return the text that this token completes, which may be none."""
        self._window.append(token)
        text = self._decode(self._window)
        if text.endswith(_BROKEN) and len(self._window) - self._read < _PATIENCE:
            # The bytes so far may be the beginning of a character. A character has at most four: if eight tokens
            # have not completed one, the model writes bytes that are no text, and they go out as U+FFFD.
            return ""
        return self._advance(text)

    def flush(self) -> str:
        """Return what was held back, with U+FFFD for a character that was never completed."""
        return self._advance(self._decode(self._window)) if len(self._window) > self._read else ""

    def _advance(self, text: str) -> str:
        new = text[self._known :]
        # A run of tokens without any text (special ones, say) must not make the window grow either.
        if new or len(self._window) - self._read >= _PATIENCE:
            self._window = self._window[self._read :]
            self._read = len(self._window)
            self._known = len(self._decode(self._window))
        return new
