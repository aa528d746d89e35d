"""Tokens as ids, text and bytes."""

import json
import re
import threading
from functools import lru_cache
from typing import Any

from universal_core.conversation import Vocabulary

_BYTE = re.compile(r"^<0x([0-9A-Fa-f]{2})>$")


class TokenizerVocabulary(Vocabulary):
    """The tokens of a tokenizer of transformers; ``size`` is how many token ids the model knows.

    Who reads with the tokenizer otherwise than through ``encode`` must hold the lock ``reading`` meanwhile.
    """

    def __init__(self, tokenizer: Any, size: int, ends: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        # Tokenizers are not promised to read in two threads at once: they keep settings of the text at hand.
        self.reading = threading.Lock()
        self.size = size
        self.ends = ends
        self._added = {token: str(added) for token, added in tokenizer.added_tokens_decoder.items()}
        self._special = frozenset(
            token for token, added in tokenizer.added_tokens_decoder.items() if added.special or _is_marker(str(added))
        )
        self._letters = _byte_letters() if _is_byte_level(tokenizer) else {}
        self._kept = lru_cache(maxsize=65536)(self._bytes_of)

    def has_tokens_of(self, other: "TokenizerVocabulary") -> bool:
        """Whether both tokenizers have the same tokens under the same numbers."""
        return bool(self._tokenizer.get_vocab() == other._tokenizer.get_vocab())

    def encode(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of a text; ``special`` adds those that the tokenizer puts around every text."""
        with self.reading:
            return list(self._tokenizer(text, add_special_tokens=special)["input_ids"])

    def decode(self, tokens: list[int]) -> str:
        """Return the text of tokens without special ones, with U+FFFD for bytes that are no character."""
        return str(
            self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False),
        )

    def decode_all(self, tokens: list[int]) -> str:
        """Return the text of tokens with special ones, with U+FFFD for bytes that are no character."""
        text = self._tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return str(text)

    def bytes_of(self, token: int) -> bytes:
        """Return the bytes of one token, which may be a part of a character."""
        return self._kept(token)

    def is_special(self, token: int) -> bool:
        """Whether a token was added to the tokenizer's own as a special one, or looks like a marker."""
        return token in self._special

    def _bytes_of(self, token: int) -> bytes:
        """Return the bytes of one token, which may be a part of a character."""
        if token in self._added:
            return self._added[token].encode()
        name = self._tokenizer.convert_ids_to_tokens(token)
        if name is None:
            return b""
        if self._letters and all(letter in self._letters for letter in name):
            return bytes(self._letters[letter] for letter in name)
        if found := _BYTE.match(name):
            return bytes([int(found[1], 16)])
        return str(name).replace("\N{LOWER ONE EIGHTH BLOCK}", " ").encode()


def _is_marker(text: str) -> bool:
    return (text[:1], text[-1:]) in (("<", ">"), ("[", "]"))


def _is_byte_level(tokenizer: Any) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return False
    return '"ByteLevel"' in json.dumps(json.loads(backend.to_str()).get("decoder"))


def _byte_letters() -> dict[str, int]:
    """Return GPT-2's alphabet, in which every byte is one visible letter.

    Bytes that are printable in Latin-1 stand for themselves; the others are counted up from U+0100.
    """
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    letters = {chr(byte): byte for byte in visible}
    return letters | {chr(256 + place): byte for place, byte in enumerate(hidden)}
