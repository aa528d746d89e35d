"""A vocabulary as llguidance wants it: the bytes of every token, and the tokens of every text."""

from functools import cached_property, lru_cache

from universal_core.conversation.vocabulary import Vocabulary

# No text has it, and no tokenizer joins it to what follows.
_MARK = "\x02"


class Spelling:
    """What llguidance asks of a tokenizer; ``ends`` are the tokens that end an answer.

    Where a grammar leaves one text only, the next token is the first of that text's tokens, as the model itself would
    write it: ``text`` must therefore be spelled to the byte, and without special tokens.
    """

    def __init__(self, vocabulary: Vocabulary, ends: list[int]) -> None:
        self._vocabulary = vocabulary
        self.eos_token_id = ends[0]
        self.bos_token_id = None
        self.tokens = [vocabulary.bytes_of(token) for token in range(vocabulary.size)]
        self.special_token_ids = [token for token in range(vocabulary.size) if vocabulary.is_special(token)]
        self._kept = lru_cache(maxsize=4096)(self._spell)

    def __call__(self, text: bytes | str) -> list[int]:
        """Return the tokens of a text; none of them is a special one."""
        return list(self._kept(text.encode() if isinstance(text, str) else text))

    def _spell(self, data: bytes) -> list[int]:
        text = data.decode(errors="replace")
        found = self._vocabulary.encode(text, special=False)
        if self._says(found, data):
            return found
        # Many tokenizers put a blank in front of every text.
        marked = self._vocabulary.encode(_MARK + text, special=False)
        rests = (marked[start:] for start in range(1, len(marked)))
        return next((rest for rest in rests if self._says(rest, data)), None) or self._longest_first(data)

    def _says(self, tokens: list[int], data: bytes) -> bool:
        """Whether tokens are a text, and all of them tokens that text may have."""
        size, special = len(self.tokens), self._vocabulary.is_special
        if any(token >= size or special(token) for token in tokens):
            return False
        return b"".join(self.tokens[token] for token in tokens) == data

    def _longest_first(self, data: bytes) -> list[int]:
        """Return the longest token that a text begins with, then the longest that the rest begins with, and so on."""
        found: list[int] = []
        start, known = 0, self._by_bytes
        while start < len(data):
            ends = range(min(len(data), start + self._longest), start, -1)
            end = next((end for end in ends if data[start:end] in known), None)
            if end is None:
                return found
            found.append(known[data[start:end]])
            start = end
        return found

    @cached_property
    def _by_bytes(self) -> dict[bytes, int]:
        special = frozenset(self.special_token_ids)
        return {data: token for token, data in enumerate(self.tokens) if data and token not in special}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._by_bytes))
