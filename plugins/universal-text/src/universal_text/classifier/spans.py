"""From labelled tokens to what they are together: "B-PER", "I-PER" to one person."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from universal_core import Span

_NOTHING = "O"


class Token(NamedTuple):
    """A token's likeliest label, how likely it is, and where the token stands in its text."""

    label: str
    score: float
    start: int
    end: int


def spans_of(tokens: Iterable[Token]) -> tuple[Span, ...]:
    """Return what neighbours of one kind are together, as transformers' pipeline does with the strategy "simple".

    A label that begins with "B-" begins a new span, any other goes on with one of its kind; the score is the mean of
    the tokens'. Tokens of the kind "O" are nothing.
    """
    groups = (group for group in _groups(tokens) if _kind(group[0].label) != _NOTHING)
    return tuple(_joined(group) for group in groups)


def _groups(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    group: list[Token] = []
    for token in tokens:
        if group and (token.label.startswith("B-") or _tag(token.label) != _tag(group[-1].label)):
            yield group
            group = []
        group.append(token)
    if group:
        yield group


def _joined(group: list[Token]) -> Span:
    score = sum(token.score for token in group) / len(group)
    return Span(label=_kind(group[0].label), score=score, start=group[0].start, end=group[-1].end)


def _tag(label: str) -> str:
    """Return a label without the mark of its place in a span."""
    return label[2:] if label.startswith(("B-", "I-")) else label


def _kind(label: str) -> str:
    """Return what a span is called: whatever stands before the first hyphen is taken for a mark of its place."""
    return label.partition("-")[2] or label
