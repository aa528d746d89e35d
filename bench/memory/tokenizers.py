"""Tokenizers with vocabularies of real sizes, whose words of three letters are one token each."""

import itertools
import random
import string
from collections.abc import Iterator
from typing import Any

_SHORT = ["".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=3)]


def bert_tokenizer(size: int = 30522, longest: int = 512) -> Any:
    """Return a WordPiece tokenizer."""
    from transformers import BertTokenizer

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase, *_SHORT]
    pieces += itertools.islice(_longer(), size - len(pieces))
    return BertTokenizer(vocab={piece: place for place, piece in enumerate(pieces)}, model_max_length=longest)


def unigram_tokenizer(size: int = 250002, longest: int = 512) -> Any:
    """Return a tokenizer of XLM-RoBERTa's kind."""
    from transformers import XLMRobertaTokenizer

    pieces = ["<s>", "<pad>", "</s>", "<unk>", *("▁" + word for word in _SHORT)]
    pieces += ["▁" + word for word in itertools.islice(_longer(), size - len(pieces) - 1)]
    vocabulary = [(piece, -float(place) / size) for place, piece in enumerate([*pieces, "<mask>"])]
    return XLMRobertaTokenizer(vocab=vocabulary, model_max_length=longest)


def words(tokens: int, seed: object) -> str:
    """Return a text of so many tokens, without the special ones."""
    return " ".join(random.Random(str(seed)).choices(_SHORT, k=tokens))


def _longer() -> Iterator[str]:
    return ("".join(letters) for letters in itertools.product(string.ascii_lowercase, repeat=4))
