"""Writing what is missing between two texts, by models that were trained to (https://arxiv.org/abs/2207.14255).

    <before prefix> def double(x): <before suffix> return result <before middle>     <- the model writes the middle here

The marks are tokens of the vocabulary. They are never written as text, and no text can write one: what a client's words
look like says nothing to the model.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from universal_core.conversation.vocabulary import Vocabulary
from universal_core.errors import UnsupportedField

# In each the marks before the prefix, the suffix and the middle.
_MARKS = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen2.5-Coder, CodeGemma, later Granite
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, Granite Code
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek-Coder writes them so.
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),  # CodeLlama
    ("<PRE>", "<SUF>", "<MID>"),
    ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),  # GLM-4
)
# Codestral reads the suffix first, and goes on from the prefix.
_SUFFIX_FIRST = ("[PREFIX]", "[SUFFIX]")
# What models write where the middle is complete, beside what ends any answer.
_ENDS = (
    *("<|fim_pad|>", "<|file_sep|>", "<|repo_name|>", "<|file_separator|>", "<|endoftext|>"),
    *("<fim_pad>", "<file_sep>", "<fim-pad>", "▁<EOT>", "<EOT>"),
)
# Stands before a text whose tokenizer begins every text with a space, and merges with nothing.
_ANCHOR = "☺"


@dataclass(frozen=True, slots=True)
class Marks:
    """The tokens before each part; without ``middle`` the suffix comes first and the answer follows the prefix.

    ``ends`` are tokens that end such an answer.
    """

    prefix: int
    suffix: int
    middle: int | None
    ends: frozenset[int]


class Filler:
    """Writes the prompts for what is missing between two texts."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._marks = marks_of(vocabulary)

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that end an answer, beside those that end any."""
        return self._marks.ends if self._marks else frozenset()

    def read(self, prefix: str | Sequence[int], suffix: str) -> list[int]:
        """Return the tokens of a prompt; a prefix of tokens is taken as it is, after a check.

        Raises UnsupportedField for a model that was not made for it, and BadRequest for tokens that it does not know.
        """
        marks = self._marks
        if marks is None:
            raise UnsupportedField(
                "suffix: the model's vocabulary has no tokens for filling in what is missing before a suffix; leave it "
                "out, or ask a model that was trained for that, such as one for code",
                param="suffix",
            )
        first, before = self._prefix(prefix)
        after = plain_tokens(self._vocabulary, suffix, continues=True)
        if marks.middle is None:
            return [*first, marks.suffix, *after, marks.prefix, *before]
        return [*first, marks.prefix, *before, marks.suffix, *after, marks.middle]

    def _prefix(self, prefix: str | Sequence[int]) -> tuple[list[int], list[int]]:
        """Return what the tokenizer puts before every text, and the tokens of the prefix."""
        added = added_before(self._vocabulary)
        if isinstance(prefix, str):
            return added, plain_tokens(self._vocabulary, prefix)
        tokens = self._vocabulary.check(prefix, "prompt")
        return (added, tokens[len(added) :]) if tokens[: len(added)] == added else ([], tokens)


def marks_of(vocabulary: Vocabulary) -> Marks | None:
    """Return the marks that a vocabulary has, None where it has none."""
    found = next((marks for names in _MARKS if (marks := _named(vocabulary, names))), None)
    if found is None and (pair := _named(vocabulary, _SUFFIX_FIRST)):
        return Marks(pair[0], pair[1], None, _ends(vocabulary, pair))
    found = found or vocabulary.fill_marks()
    return Marks(found[0], found[1], found[2], _ends(vocabulary, found)) if found else None


def _named(vocabulary: Vocabulary, names: Sequence[str]) -> tuple[int, ...] | None:
    found = tuple(token for name in names if (token := vocabulary.named(name)) is not None)
    return found if len(found) == len(names) else None


def _ends(vocabulary: Vocabulary, marks: Sequence[int]) -> frozenset[int]:
    return frozenset((*marks, *(token for name in _ENDS if (token := vocabulary.named(name)) is not None)))


def added_before(vocabulary: Vocabulary) -> list[int]:
    """Return the tokens that the tokenizer puts before every text."""
    plain, whole = (vocabulary.encode("a", special=special) for special in (False, True))
    return next((whole[:at] for at in range(len(whole)) if whole[at : at + len(plain)] == plain), [])


def plain_tokens(vocabulary: Vocabulary, text: str, *, continues: bool = False) -> list[int]:
    """Return the tokens of a text none of which is a special one; ``continues`` says that something stands before it.

    What looks like a mark is read in two parts, as the characters that it is.
    """
    tokens = _continued(vocabulary, text) if continues else vocabulary.encode(text, special=False)
    marks = {vocabulary.bytes_of(token).decode(errors="replace") for token in tokens if vocabulary.is_special(token)}
    cuts = [found.start() + 1 for found in re.finditer("|".join(map(re.escape, marks)), text)] if marks else []
    if not cuts:
        return [token for token in tokens if not vocabulary.is_special(token)]
    first, *others = (text[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True))
    found = plain_tokens(vocabulary, first, continues=continues)
    return [*found, *(token for part in others for token in plain_tokens(vocabulary, part, continues=True))]


def _continued(vocabulary: Vocabulary, text: str) -> list[int]:
    anchor = vocabulary.encode(_ANCHOR, special=False)
    if not vocabulary.bytes_of(anchor[0]).startswith(b" "):
        return vocabulary.encode(text, special=False)
    tokens = vocabulary.encode(_ANCHOR + text, special=False)
    return tokens[len(anchor) :] if tokens[: len(anchor)] == anchor else vocabulary.encode(text, special=False)
