"""What all models that say where things are have in common: the way from pictures and words to what is found."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor

Found = TypeVar("Found", covariant=True)

Size = tuple[int, int]
"""Height and width in pixels."""


class Words(NamedTuple):
    """Words made ready for a model: a part of its inputs, and how many tokens they are.

    ``places`` are the tokens of each label in a text of all. ``copies`` is how often a picture is read for them.
    """

    inputs: dict[str, Tensor]
    tokens: int = 0
    places: tuple[tuple[int, ...], ...] = ()
    copies: int = 1


class Job(NamedTuple):
    """What is asked of a picture; only pictures of which the same is asked go through the model together.

    ``threshold`` is the request's, None where it does not say.
    """

    task: str
    labels: tuple[str, ...] = ()
    threshold: float | None = None


class Finder(Protocol[Found]):
    """One task of a model."""

    def words(self, job: Job) -> Words:
        """Return the words of a job made ready. Raises BadRequest for a job that the model cannot do."""

    def find(self, outputs: Any, sizes: Sequence[Size], job: Job, words: Words) -> Sequence[Found]:
        """Return what the outputs of the model for some pictures say of each, in pixels of the upright picture."""
