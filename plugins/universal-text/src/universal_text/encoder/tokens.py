"""From texts and token ids to what the model reads: special tokens around it, cut to its length."""

from collections.abc import Sequence
from functools import cache

from transformers import PreTrainedTokenizerBase


class Tokens:
    """A model's tokenizer, with padding and truncation taken out of the hands of what was saved with it."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> None:
        """``max_length`` counts the special tokens too; None reads inputs of any length."""
        self.tokenizer = tokenizer
        self._prefix, self._suffix = _special_tokens(tokenizer)
        self.max_length = max_length
        self.padding: int = tokenizer.pad_token_id or 0
        self._prompt_length = cache(self._measure)

    def of_texts(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text."""
        if not texts:
            return []
        limits = {"truncation": True, "max_length": self.max_length} if self.max_length else {}
        encoded = self.tokenizer(
            list(texts), padding=False, return_attention_mask=False, return_token_type_ids=False, **limits
        )
        found: list[list[int]] = encoded["input_ids"]
        return found

    def of_ids(self, ids: Sequence[int], prompt: str) -> list[int]:
        """Return ids as the same text would have them; those that bring their special tokens get no second set."""
        head, tail = self._prefix, self._suffix
        inner = list(ids)
        if (head or tail) and inner[: len(head)] == head and inner[len(inner) - len(tail) :] == tail:
            inner = inner[len(head) : len(inner) - len(tail)]
        if prompt:
            inner = self.tokenizer(prompt, add_special_tokens=False)["input_ids"] + inner
        return head + self._cut(inner) + tail

    def prompt_length(self, prompt: str) -> int:
        """Return how many tokens at the start of a text are the prompt's, the special ones before it included."""
        return self._prompt_length(prompt)

    def _measure(self, prompt: str) -> int:
        # As sentence-transformers measures it, which looks at no more than the last token: parity asks for it.
        ids = self.of_texts([prompt])[0]
        return len(ids) - (bool(ids) and ids[-1] in self.tokenizer.all_special_ids)

    def _cut(self, ids: list[int]) -> list[int]:
        if self.max_length is None:
            return ids
        room = max(0, self.max_length - len(self._prefix) - len(self._suffix))
        return ids[max(0, len(ids) - room) :] if self.tokenizer.truncation_side == "left" else ids[:room]


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Return the ids that the tokenizer puts before and after a text.

    They are read off a text, because transformers 5 has no public call that puts them around given ids.
    """
    bare: list[int] = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole: list[int] = tokenizer("a")["input_ids"]
    places = range(len(whole) - len(bare) + 1)
    place = next((place for place in places if bare and whole[place : place + len(bare)] == bare), 0)
    return whole[:place], whole[place + len(bare) :]
