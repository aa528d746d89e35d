"""What may come next in an answer: the seam between grammars and samplers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Grammar:
    """A grammar in llguidance's form of Lark, whose first rule is ``start``.

    ``parts`` are further grammars that the rules name with ``@``: ``{"json_schema": …}`` or ``{"lark_grammar": …}``,
    as https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md has them. ``params`` tells by the name of a part
    which field of the request it comes from.
    """

    rules: str
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


class Constraint(Protocol):
    """Says for one answer which tokens may come next."""

    def mask(self) -> bytes | None:
        """Return a bit for each token of the vocabulary, least significant first, set where it may come next.

        None means any of them. The bytes are a multiple of four, so that they can be read as 32-bit words.
        """

    def accept(self, token: int) -> None:
        """Go on from a token that was chosen."""

    def copy(self) -> "Constraint":
        """Return the same for a further answer to the same prompt."""
