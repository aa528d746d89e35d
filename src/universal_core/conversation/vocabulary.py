"""A model's tokens: from text to ids, and back to text and bytes."""

from abc import ABC, abstractmethod
from collections.abc import Container, Sequence

from universal_core.errors import BadRequest
from universal_core.messages import DetokenizeResult, TokenizeResult


class Vocabulary(ABC):
    """What writing needs of a tokenizer: ``size`` token ids, of which those in ``ends`` end an answer."""

    size: int
    ends: Container[int]

    @abstractmethod
    def encode(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of a text; ``special`` adds those that the tokenizer puts around every text."""

    @abstractmethod
    def decode(self, tokens: list[int]) -> str:
        """Return the text of tokens without special ones, with U+FFFD for bytes that are no character."""

    @abstractmethod
    def decode_all(self, tokens: list[int]) -> str:
        """Return the text of tokens with special ones, with U+FFFD for bytes that are no character."""

    @abstractmethod
    def bytes_of(self, token: int) -> bytes:
        """Return the bytes of one token, which may be a part of a character."""

    @abstractmethod
    def is_special(self, token: int) -> bool:
        """Whether a token stands for something that no text can write, such as the end of a turn."""

    def named(self, text: str) -> int | None:
        """Return the one token that a marker such as ``<tool_call>`` is, None where it is written in several."""
        tokens = self.encode(text, special=False)
        return tokens[0] if len(tokens) == 1 and self.bytes_of(tokens[0]) == text.encode() else None

    def fill_marks(self) -> tuple[int, int, int] | None:
        """Return the tokens before prefix, suffix and middle of a text with a gap, where the model's file says so."""
        return None

    def check(self, tokens: Sequence[int], param: str) -> list[int]:
        """Return token ids that a request gave; raise BadRequest for one that the model does not know."""
        wrong = next((token for token in tokens if not 0 <= token < self.size), None)
        if wrong is not None:
            raise BadRequest(f"token {wrong} is not one of the model's {self.size} tokens", param=param)
        return list(tokens)

    def tokenized(self, tokens: Sequence[int], *, pieces: bool) -> TokenizeResult:
        """Return tokens as a result, with the text of each where ``pieces`` asks for it."""
        texts = (self.bytes_of(token).decode(errors="replace") for token in tokens) if pieces else ()
        return TokenizeResult(tokens=tuple(tokens), pieces=tuple(texts))

    def detokenized(self, tokens: Sequence[int]) -> DetokenizeResult:
        """Return the text of tokens, special ones included; raises BadRequest for one that the model does not know."""
        return DetokenizeResult(text=self.decode_all(self.check(tokens, "tokens")))
