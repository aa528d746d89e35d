"""A vocabulary of bytes and a few markers, for tests that need no model."""

from universal_core.conversation import Constraint, Vocabulary

END, THINK, THOUGHT, CALL, CALLED, TURN = 256, 257, 258, 259, 260, 261
WORDS = {262: b"true", 263: b'": "', 264: b"  ", 265: b"ab"}
NAMES = {END: b"</s>", THINK: b"<think>", THOUGHT: b"</think>", CALL: b"<call>", CALLED: b"</call>", TURN: b"<|turn|>"}


class Letters(Vocabulary):
    """Every byte is a token, and there are two that end an answer, some markers, and some words."""

    def __init__(self) -> None:
        self.size = 266
        self.ends = frozenset((END, TURN))

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Return the bytes, and the token of a marker for its name."""
        return next(([token] for token, name in NAMES.items() if name == text.encode()), list(text.encode()))

    def decode(self, tokens: list[int]) -> str:
        """Return the text without markers."""
        return b"".join(map(self.bytes_of, filter(lambda token: token not in NAMES, tokens))).decode(errors="replace")

    def decode_all(self, tokens: list[int]) -> str:
        """Return the text with markers."""
        return b"".join(map(self.bytes_of, tokens)).decode(errors="replace")

    def bytes_of(self, token: int) -> bytes:
        """Return a byte, a word, or the name of a marker."""
        return bytes([token]) if token < END else (NAMES | WORDS)[token]

    def is_special(self, token: int) -> bool:
        """Whether it is a marker."""
        return token in NAMES


def allowed(constraint: Constraint) -> set[int]:
    """Return the tokens that may come next."""
    mask = constraint.mask()
    assert mask is not None
    assert len(mask) % 4 == 0
    return {token for token in range(8 * len(mask)) if mask[token >> 3] >> (token & 7) & 1}


def fits(constraint: Constraint, *pieces: str | int) -> bool:
    """Whether texts and tokens may be written one after another, and the answer may end there."""
    constraint = constraint.copy()
    for piece in pieces:
        for token in [piece] if isinstance(piece, int) else piece.encode():
            if token not in allowed(constraint):
                return False
            constraint.accept(token)
    return allowed(constraint) >= {END, TURN}
