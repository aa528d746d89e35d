"""What may come next in an answer: the seam between grammars and samplers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Grammar:
    r"""A grammar in llguidance's form of Lark, whose first rule is ``start``.

    ``parts`` are further grammars that the rules name with ``@``: ``{"json_schema": …}`` or ``{"lark_grammar": …}``,
    as https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md has them. ``params`` tells by the name of a
    part which field of the request it comes from. Schemas are checked, and given limited whitespace, by ``Grammars``.

    What rules can rely on:

    * A token is written ``<[ID]>``. Nothing else derives a special token: neither its text in quotes nor ``/.*/``.
      ``TEXT <[7]>`` with ``TEXT: /(?s:.*)/`` is any text up to token 7.
    * A turn may end exactly where ``start`` is complete, with any of the vocabulary's ``ends``; rules need not name
      them. One that they do name, as in ``start: @call <[END]>``, must be written there.
    * Text up to a marker that is written in letters is ``thought[suffix="</think>"]: /(?s:.*)/``, which takes the
      marker with it. Without ``suffix``, ``stop`` or ``lazy`` a terminal takes all it can: in ``/[a-z ]+/ "stop"`` the
      word ``stop`` never comes, as the expression takes it for its own.
    * ``@part`` may stand anywhere, several times, under ``*`` and ``+``, before and after tokens and text. A JSON part
      begins and ends without whitespace.
    * ``rule[max_tokens=9]: …`` cuts a rule off after so many tokens.
    """

    rules: str
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


class Constraint(Protocol):
    """Says for one answer which tokens may come next."""

    def mask(self) -> bytes | None:
        """Return a bit for each token of the vocabulary, least significant first, set where it may come next.

        None means any of them. The bytes are a multiple of four, so that they can be read as 32-bit words; a token
        without a bit may not come. Raises BadRequest where nothing can be said any more: the answer fails.
        """

    def accept(self, token: int) -> None:
        """Go on from a token that was chosen. Raises BadRequest for one that may not come."""

    def copy(self) -> "Constraint":
        """Return the same for a further answer to the same prompt."""
