"""Formats whose calls are JSON objects behind a marker, one by one or in a list."""

import json
from collections.abc import Container
from dataclasses import dataclass

from universal_core.conversation.parsing import TurnParser
from universal_core.conversation.tools.arguments import Callable, callables, parts_of
from universal_core.conversation.tools.cursor import Cursor, Reading
from universal_core.conversation.tools.format import Rules, Spell, calls_many
from universal_core.conversation.tools.lark import (
    GAP,
    SPACE,
    TERMINALS,
    either,
    literal,
    marker,
    pattern,
    repeated,
    turn,
)
from universal_core.conversation.tools.objects import json_call
from universal_core.conversation.tools.turn import Opened, parser_of
from universal_core.messages import ChatRequest


@dataclass(frozen=True, slots=True)
class JsonCalls(Opened):
    """Calls behind one of ``openings`` and before one of ``closings``, of each of which the first is what is written.

    Each call has its own opening, or all stand in one list where ``listed`` is true. ``key`` is what the arguments
    are called.
    """

    name: str
    openings: tuple[str, ...]
    closings: tuple[str, ...] = ()
    listed: bool = False
    key: str = "arguments"

    @property
    def markers(self) -> tuple[str, ...]:
        """The openings and closings."""
        return (*self.openings, *self.closings)

    def written(self, name: str, arguments: str) -> str:
        """Return a call as a model writes it."""
        call, closing = written_object(name, arguments, self.key), "".join(self.closings[:1])
        return f"{self.openings[0]}[{call}]{closing}" if self.listed else f"{self.openings[0]}\n{call}\n{closing}"

    def parser(self, request: ChatRequest, *, guaranteed: bool) -> TurnParser:
        """Return what takes a turn apart."""
        return parser_of(self, request, guaranteed=guaranteed)

    def rules(self, request: ChatRequest, *, spell: Spell, answer: str = "") -> Rules:
        """Return what a turn must follow."""
        tools = callables(request)
        parts, params = parts_of(tools)
        rules = turn(
            "tool_calls",
            self.openings,
            required=request.tool_choice == "required",
            answer=answer,
            spell=spell,
        )
        return Rules(rules + self._calls(tools, calls_many(request), spell) + TERMINALS, parts, params)

    def _calls(self, tools: list[Callable], many: bool, spell: Spell) -> str:
        one = either(f"tool_{tool.part}" for tool in tools)
        close = f"{GAP} {marker(self.closings[:1], spell)}" if self.closings else ""
        if self.listed:
            items = repeated("tool_one", f'{GAP} "," {GAP}', many=many)
            calls = f'tool_calls: {GAP} "[" {GAP} {items} {GAP} "]" {close}\ntool_one: {one}\n'
        else:
            calls = f"tool_calls: {repeated('tool_one', f'{GAP} {marker(self.openings[:1], spell)}', many=many)}\n"
            calls += f"tool_one: {GAP} {one} {close}\n"
        return calls + "".join(f"tool_{tool.part}: {object_rule(tool, self.key)}\n" for tool in tools)

    def call(self, cursor: Cursor, opening: str, position: int, names: Container[str]) -> Reading[bool]:
        """Read one call."""
        yield from cursor.spaces()
        if (yield from cursor.literal("[")):
            yield from cursor.spaces()
        return (yield from json_call(cursor, position, names))

    def again(self, cursor: Cursor, opening: str) -> Reading[bool]:
        """Go over a comma, or over what closes the calls."""
        yield from cursor.spaces()
        if (yield from cursor.one_of((",", ";"))):
            yield from cursor.spaces()
            return True
        if (yield from cursor.literal("]")):
            yield from cursor.spaces()
        yield from cursor.one_of(self.closings)
        return False


def written_object(name: str, arguments: str, key: str) -> str:
    """Return a call as a JSON object."""
    return f'{{"name": {json.dumps(name, ensure_ascii=False)}, "{key}": {arguments}}}'


def object_rule(tool: Callable, key: str) -> str:
    """Return the rule of one call as a JSON object, the name first."""
    head = f'\\{{{SPACE}"name"{SPACE}:{SPACE}{pattern(literal(tool.name))}{SPACE},{SPACE}"{key}"{SPACE}:[ ]?'
    return f'/{head}/ @{tool.part} {GAP} "}}"'
