"""The form in which a model writes its turns: where it thinks, how it calls tools, and where its answer is."""

from collections.abc import Mapping
from typing import Protocol

from universal_core.conversation.constraint import Grammar
from universal_core.conversation.parsing import PlainTurn, TurnParser
from universal_core.messages import ChatRequest


class Dialect(Protocol):
    """What a model was trained on to write as an assistant's turn."""

    @property
    def markers(self) -> Mapping[int, str]:
        """The special tokens that a parser has to see, with the text that it sees for each."""

    def parser(self, request: ChatRequest, tail: str) -> TurnParser:
        """Return what takes one turn apart; ``tail`` is the end of the prompt, special tokens included."""

    def grammar(self, request: ChatRequest, tail: str, form: Grammar | None) -> Grammar | None:
        """Return what a whole turn must follow, None where it is free: ``form`` where the answer itself stands.

        Calls follow the schemas of their tools.
        """


class PlainDialect:
    """The form of a model that neither thinks nor calls tools in a way that is known."""

    markers: Mapping[int, str] = {}

    def parser(self, request: ChatRequest, tail: str) -> TurnParser:
        """Return what takes all for content."""
        return PlainTurn()

    def grammar(self, request: ChatRequest, tail: str, form: Grammar | None) -> Grammar | None:
        """Return the form of the answer, which is the whole turn."""
        return form
