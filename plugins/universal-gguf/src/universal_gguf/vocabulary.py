"""A model's tokens: from text to ids, and back to text and bytes."""

import ctypes
from functools import lru_cache

import llama_cpp

from universal_core.conversation import Vocabulary

_PIECE = 64
_SPECIAL = {
    "bos_token": llama_cpp.llama_vocab_bos,
    "eos_token": llama_cpp.llama_vocab_eos,
    "pad_token": llama_cpp.llama_vocab_pad,
    "sep_token": llama_cpp.llama_vocab_sep,
    "mask_token": llama_cpp.llama_vocab_mask,
}

_NO_TEXT = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN | llama_cpp.LLAMA_TOKEN_ATTR_UNUSED


class GgufVocabulary(Vocabulary):
    """The tokens of a GGUF file; ``size`` is how many token ids the model knows.

    It may be used from several threads: llama.cpp only reads it.
    """

    def __init__(self, model: llama_cpp.llama_model_p) -> None:
        self.pointer = llama_cpp.llama_model_get_vocab(model)
        assert self.pointer is not None
        self.size = llama_cpp.llama_vocab_n_tokens(self.pointer)
        self._written = lru_cache(maxsize=65536)(lambda token: self._piece(token, special=True))
        self._shown = lru_cache(maxsize=65536)(lambda token: self._piece(token, special=False))
        self.ends = Ends(self.pointer)

    def encode(self, text: str, *, special: bool, literal: bool = False) -> list[int]:
        """Return the tokens of a text; ``special`` adds those that the model wants around every text.

        What is written as a special token's name, such as ``<|im_end|>``, becomes that token, unless ``literal``.
        """
        data = text.encode()
        room = len(data) + 8
        while True:
            tokens = (llama_cpp.llama_token * room)()
            count = llama_cpp.llama_tokenize(self.pointer, data, len(data), tokens, room, special, not literal)
            if count >= 0:
                return tokens[:count]
            room = -count

    def decode(self, tokens: list[int]) -> str:
        """Return the text of tokens without special ones, with U+FFFD for bytes that are no character."""
        return b"".join(map(self._shown, tokens)).decode(errors="replace")

    def decode_all(self, tokens: list[int]) -> str:
        """Return the text of tokens as the tokenizer itself puts them together, special ones included."""
        if llama_cpp.llama_vocab_type(self.pointer) == llama_cpp.LLAMA_VOCAB_TYPE_BPE:
            # Their pieces are the text itself; llama.cpp would take away spaces before a comma that stood there.
            return b"".join(map(self._written, tokens)).decode(errors="replace")
        ids = (llama_cpp.llama_token * len(tokens))(*tokens)
        room = _PIECE * (1 + len(tokens))
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = llama_cpp.llama_detokenize(self.pointer, ids, len(tokens), buffer, room, False, True)
            if count >= 0:
                return buffer.raw[:count].decode(errors="replace")
            room = -count

    def bytes_of(self, token: int) -> bytes:
        """Return the bytes of one token, which may be a part of a character; none for a part of a picture."""
        return self._written(token) if token >= 0 else b""

    def is_special(self, token: int) -> bool:
        """Whether a token is one of control, stands for no text, or is the user's own and looks like a marker."""
        attributes = llama_cpp.llama_vocab_get_attr(self.pointer, token)
        if attributes & _NO_TEXT:
            return True
        written = self.bytes_of(token)
        looks_special = (written[:1], written[-1:]) in ((b"<", b">"), (b"[", b"]"))
        return bool(attributes & llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED) and looks_special

    def fill_marks(self) -> tuple[int, int, int] | None:
        """Return the tokens before prefix, suffix and middle of a text with a gap, where the file has them."""
        marks = (
            llama_cpp.llama_vocab_fim_pre(self.pointer),
            llama_cpp.llama_vocab_fim_suf(self.pointer),
            llama_cpp.llama_vocab_fim_mid(self.pointer),
        )
        return marks if min(marks) >= 0 else None

    def special_names(self) -> dict[str, str]:
        """Return how the special tokens are written, by the names that chat templates have for them."""
        found = {name: function(self.pointer) for name, function in _SPECIAL.items()}
        return {name: self.bytes_of(token).decode() for name, token in found.items() if token >= 0}

    def _piece(self, token: int, *, special: bool) -> bytes:
        room = _PIECE
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = llama_cpp.llama_token_to_piece(self.pointer, token, buffer, room, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            room = -count


class Ends:
    """The tokens that end an answer, looked up one by one: asking for all of a large vocabulary takes 0.1 s."""

    def __init__(self, vocabulary: llama_cpp.llama_vocab_p) -> None:
        self._vocabulary = vocabulary

    def __contains__(self, token: object) -> bool:
        """Whether a token ends the answer."""
        return isinstance(token, int) and bool(llama_cpp.llama_vocab_is_eog(self._vocabulary, token))
