"""Labelling texts: requests and results of the tasks ``classify`` and ``classify_tokens``.

A request of several texts fails as a whole, and alone: those that were batched with it are answered. What is wrong
with one text is a BadRequest whose ``param`` and first word are its place in the request: ``input[3]``. Labels of the
request are ``candidate_labels[3]``.
"""

from typing import ClassVar

import msgspec

from universal_core.messages.message import Request, Result, Usage


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """A label and how likely it is, 0 to 1; of a model that tells a quantity, the quantity."""

    label: str
    score: float


class ClassifyRequest(Request, frozen=True, kw_only=True):
    """Say which labels fit each text: the model's own, or ``labels`` (task ``classify``).

    An item of ``input`` is a text, or two texts that are read together. ``top_k`` is how many labels are told of each,
    None for all. ``hypothesis_template`` and ``multi_label`` are for ``labels`` alone: the one has ``{}`` once, to be
    replaced by a label, its other braces are braces, and None means the model's own; the other says that several labels
    may fit, so that their scores are independent of each other.
    """

    basic: ClassVar[frozenset[str]] = frozenset({"input", "top_k", "hypothesis_template", "multi_label"})

    input: tuple[str | tuple[str, str], ...]
    top_k: int | None = None
    labels: tuple[str, ...] = ()
    hypothesis_template: str | None = None
    multi_label: bool = False

    def features(self) -> dict[str, str]:
        """Return the features used; labels are asked for by ``candidate_labels``."""
        return {"labels": "candidate_labels"} if self.labels else {}


class ClassifyResult(Result, frozen=True, kw_only=True):
    """The labels of each input, the likeliest first."""

    predictions: tuple[tuple[Prediction, ...], ...]
    usage: Usage


class ClassifyTokensRequest(Request, frozen=True, kw_only=True):
    """Find names and other things in each text (task ``classify_tokens``)."""

    basic: ClassVar[frozenset[str]] = frozenset({"input"})

    input: tuple[str, ...]


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a text that is of one kind: its first character and the one after its last, counted from 0."""

    label: str
    score: float
    start: int
    end: int


class ClassifyTokensResult(Result, frozen=True, kw_only=True):
    """What was found in each input, in the order of the text."""

    spans: tuple[tuple[Span, ...], ...]
    usage: Usage
