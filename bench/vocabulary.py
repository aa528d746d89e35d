"""Vocabularies of any size whose words are one token each, and texts of a known number of tokens."""

import itertools
import random
import string
from collections.abc import Iterator

START, END, STOP = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
SPECIAL = (STOP, START, END)
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEMPLATE_TOKENS = 19
"""What the template adds to one turn: its own words are no words of the vocabulary, but a token a letter."""

_SPACE = "Ġ"
_SHORT = [left + middle + right for left, middle, right in itertools.product(string.ascii_lowercase, repeat=3)]


def byte_level(size: int) -> tuple[list[str], list[str]]:
    """Return the tokens and the merges of a byte-level BPE in GPT-2's form; ``SPECIAL`` are the last tokens.

    Every word of up to three letters after a space is one token, and as many of four letters as there is room for.
    """
    grown = [_SPACE + "".join(letters) for length in (1, 2, 3) for letters in _words(length)]
    alphabet = _byte_letters()
    room = size - len(alphabet) - len(grown) - len(SPECIAL)
    step = max(26**4 // room, 1)
    grown += [_SPACE + "".join(letters) for letters in itertools.islice(_words(4), 0, room * step, step)]
    return [*alphabet, *grown, *SPECIAL], [f"{token[:-1]} {token[-1]}" for token in grown]


def word_pieces(size: int) -> list[str]:
    """Return the tokens of a BERT vocabulary in llama.cpp's form (a word begins with U+2581); specials come first."""
    letters = [*string.ascii_lowercase, *string.digits]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"\u2581{letter}" for letter in letters), *letters]
    words = (f"\u2581{''.join(word)}" for length in (3, 4) for word in _words(length))
    return [*tokens, *itertools.islice(words, size - len(tokens))]


def text(tokens: int, seed: object) -> str:
    """Return words that are this many tokens together, different ones for every seed."""
    return " " + " ".join(random.Random(str(seed)).choices(_SHORT, k=tokens))


def _words(length: int) -> Iterator[tuple[str, ...]]:
    return itertools.product(string.ascii_lowercase, repeat=length)


def _byte_letters() -> list[str]:
    """Return the letters that GPT-2 writes the 256 bytes with: printable ones as themselves, others from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = itertools.count(0x100)
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]
