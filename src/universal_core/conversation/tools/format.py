"""How a model writes calls of tools: the seam between formats and the turns that they stand in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from universal_core.conversation.parsing import TurnParser
from universal_core.messages import ChatRequest, Tool

Spell = Callable[[str], str]
"""Writes a marker as Lark: ``<[7]>`` where it is one special token of the vocabulary, else a quoted literal."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules for the part of a turn after any reasoning, in llguidance's form of Lark.

    ``text`` defines ``turn``, and may refer to ``parts`` as ``Grammar`` has them; every other rule of it begins with
    ``tool_``. ``params`` tells by the name of a part which field of the request it comes from.
    """

    text: str
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


class ToolFormat(Protocol):
    """One way of writing calls; ``name`` is what the option ``tool_format`` calls it."""

    @property
    def name(self) -> str:
        """What the option ``tool_format`` calls it."""

    @property
    def markers(self) -> tuple[str, ...]:
        """The texts that are special tokens in the vocabularies of such models, and that the parser has to see."""

    def written(self, name: str, arguments: str) -> str:
        """Return a call as a model writes it; arguments are a JSON object."""

    def parser(self, request: ChatRequest, *, guaranteed: bool) -> TurnParser:
        """Return what takes apart the part of a turn after any reasoning; all is content where no tool may be called.

        ``guaranteed`` says that a grammar keeps the turn to ``rules``: calls are then told while they are being
        written. Otherwise a call is held back until it is known to be whole and of a known tool, and is content if not.
        """

    def rules(self, request: ChatRequest, *, spell: Spell, answer: str = "") -> Rules:
        """Return what the part of a turn after any reasoning must follow so that its calls are valid.

        For a request with tools that may be called (``callable_tools``). Where none must be, the turn may also be an
        answer without calls: ``answer`` in Lark where it has a form of its own, else free text that calls may follow.
        Raises BadRequest for a strict tool whose parameters cannot be enforced.
        """


def callable_tools(request: ChatRequest) -> dict[str, Tool]:
    """Return the tools that may be called, by the names of their fields in the request: ``tools[0]``, …"""
    if request.tool_choice == "none":
        return {}
    allowed = request.allowed_tools or tuple(tool.name for tool in request.tools)
    return {f"tools[{at}]": tool for at, tool in enumerate(request.tools) if tool.name in allowed}


def calls_many(request: ChatRequest) -> bool:
    """Whether a turn may make several calls: not where one tool is named."""
    named = request.tool_choice == "required" and len(request.allowed_tools) == 1
    return request.parallel_tool_calls and not named
