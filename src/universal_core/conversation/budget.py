"""Thinking that ends in time: a thought is closed properly when its tokens are used up."""

from collections import deque
from collections.abc import Mapping, Sequence
from copy import deepcopy

from universal_core.conversation.constraint import Constraint
from universal_core.conversation.detokenize import Detokenizer
from universal_core.conversation.parsing import TurnParser
from universal_core.conversation.vocabulary import Vocabulary

_LONGEST_CHARACTER = 4


class ThinkingBudget:
    """Lets the model think for ``budget`` tokens, and then nothing pass but the tokens of ``end``.

    ``parser`` tells what is thought, and sees ``markers`` for special tokens. Outside of thoughts, and as long as the
    budget lasts, what ``inner`` allows is allowed.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        parser: TurnParser,
        markers: Mapping[int, str],
        budget: int,
        end: Sequence[int],
        inner: Constraint | None = None,
    ) -> None:
        self._vocabulary = vocabulary
        self._detokenizer = Detokenizer(vocabulary.decode)
        self._parser = parser
        self._markers = markers
        self._left = budget
        self._end = end
        self._closing: deque[int] = deque()
        self._silent = 0
        self._inner = inner
        self._close_if_used_up()

    def mask(self) -> bytes | None:
        """Return the one bit of a token that closes the thought, or what is allowed beside."""
        if not self._closing:
            return self._inner.mask() if self._inner else None
        token = self._closing[0]
        bits = bytearray((self._vocabulary.size + 31) // 32 * 4)
        bits[token // 8] = 1 << token % 8
        return bytes(bits)

    def accept(self, token: int) -> None:
        """Go on from a token that was chosen."""
        if self._inner is not None:
            self._inner.accept(token)
        if self._closing:
            self._closing.popleft()
        elif self._parser.thinking:
            self._left -= 1
        marker = self._markers.get(token)
        text = self._detokenizer.feed(token) if marker is None else self._detokenizer.flush() + marker
        self._silent = 0 if text else self._silent + 1
        if text:
            self._parser.feed(text)
        self._close_if_used_up()

    def copy(self) -> "ThinkingBudget":
        """Return the same for a further answer."""
        inner = self._inner.copy() if self._inner else None
        copied = ThinkingBudget(self._vocabulary, deepcopy(self._parser), self._markers, self._left, self._end, inner)
        copied._closing = deque(self._closing)
        return copied

    def _close_if_used_up(self) -> None:
        if self._parser.thinking and self._left <= 0 and not self._closing and self._between_characters():
            self._closing = deque(self._end)

    def _between_characters(self) -> bool:
        """Whether the thought may be closed here: a character that was begun has to be completed, if it ever is."""
        if self._inner is None:
            return not 0 < self._silent < _LONGEST_CHARACTER
        return _has(self._inner.mask(), self._end[0])


def _has(mask: bytes | None, token: int) -> bool:
    return mask is None or bool(mask[token // 8] >> token % 8 & 1)
