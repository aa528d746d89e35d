"""Formats whose calls are written as Python writes them."""

import json
from collections.abc import Container
from dataclasses import dataclass

from universal_core.conversation.parsing import TurnParser
from universal_core.conversation.tools.arguments import Callable, callables
from universal_core.conversation.tools.cursor import Cursor, Reading
from universal_core.conversation.tools.format import Rules, Spell, calls_many
from universal_core.conversation.tools.lark import GAP, TERMINALS, either, literal, marker, pattern, repeated, turn
from universal_core.conversation.tools.python import python_call, python_name
from universal_core.conversation.tools.turn import parser_of
from universal_core.conversation.tools.values import Parameter, parameters_of
from universal_core.errors import BadRequest
from universal_core.messages import ChatRequest


@dataclass(frozen=True, slots=True)
class PythonicCalls:
    """Calls between ``opening`` and ``closing``: in a list where ``listed`` is true, else a line each.

    Where ``bare`` is true, a list that a turn begins with needs no opening.
    """

    name: str
    opening: str
    closing: str
    listed: bool = True
    bare: bool = False

    @property
    def markers(self) -> tuple[str, ...]:
        """The opening and the closing."""
        return (self.opening, self.closing)

    @property
    def openings(self) -> tuple[str, ...]:
        """What calls begin with."""
        return (self.opening,)

    def written(self, name: str, arguments: str) -> str:
        """Return a call as a model writes it."""
        call = f"{name}({', '.join(f'{key}={_written(value)}' for key, value in json.loads(arguments).items())})"
        if not self.listed:
            return f"{self.opening}\n{call}\n{self.closing}"
        return f"[{call}]" if self.bare else f"{self.opening}[{call}]{self.closing}"

    def parser(self, request: ChatRequest, *, guaranteed: bool) -> TurnParser:
        """Return what takes a turn apart."""
        return parser_of(self, request, guaranteed=guaranteed)

    def rules(self, request: ChatRequest, *, spell: Spell, answer: str = "") -> Rules:
        """Return what a turn must follow."""
        tools, many = callables(request), calls_many(request)
        parts: dict[str, dict[str, object]] = {}
        params: dict[str, str] = {}
        rules = "".join(_tool(tool, parts, params) for tool in tools)
        required = request.tool_choice == "required"
        if self.bare and required:
            text = f"turn: {GAP} tool_list\n"
        elif self.bare and answer:
            text = f"turn: {answer} | {GAP} tool_list\n"
        else:
            text = turn("tool_calls", self.openings, required=required, answer=answer, spell=spell)
        if self.bare and not required and not answer:
            text = text.replace("turn: ", f"turn: {self._heads(tools)} | ", 1) + _lazy(tools)
        return Rules(text + self._calls(tools, many, spell) + rules + TERMINALS, parts, params)

    def _calls(self, tools: list[Callable], many: bool, spell: Spell) -> str:
        one = either(f"tool_{tool.part}" for tool in tools)
        close = f"{GAP} {marker([self.closing], spell)}"
        if not self.listed:
            return f"tool_calls: {GAP} {repeated('tool_one', 'TOOL_GAP', many=many)} {close}\ntool_one: {one}\n"
        further = f'({GAP} "," {GAP} tool_one)*' if many else ""
        return (
            f'tool_calls: {GAP} tool_list {close}\ntool_list: "[" tool_one tool_further\ntool_one: {one}\n'
            f'tool_further: {further} "]"\n'
        )

    def _heads(self, tools: list[Callable]) -> str:
        return " | ".join(f"tool_lazy_{tool.part} tool_inside_{tool.part} tool_further" for tool in tools)

    def opens(self, cursor: Cursor) -> Reading[bool]:
        """Return whether a list of calls may begin here."""
        if not self.bare:
            return False
        yield from cursor.spaces()
        return (yield from cursor.literal("["))

    def call(self, cursor: Cursor, opening: str, position: int, names: Container[str]) -> Reading[bool]:
        """Read one call."""
        yield from cursor.spaces()
        if self.listed and (yield from cursor.literal("[")):
            yield from cursor.spaces()
        start = cursor.at
        printed = not self.listed and (yield from python_name(cursor)) == "print"
        if not printed or not (yield from cursor.literal("(")):
            printed, cursor.at = False, start
        found = yield from python_call(cursor, position, names)
        if found and printed:
            yield from cursor.literal(")")
        return found

    def again(self, cursor: Cursor, opening: str) -> Reading[bool]:
        """Go over what stands between two calls, or closes them."""
        yield from cursor.spaces()
        if self.listed and (yield from cursor.literal(",")):
            return True
        yield from cursor.one_of(("]",) if self.listed else (";",))
        yield from cursor.spaces()
        if (yield from cursor.literal(self.closing)):
            return False
        return not self.listed and bool((yield from cursor.next()))


def _written(value: object) -> str:
    """Return a value as the rules have it."""
    return str(value) if isinstance(value, bool) else json.dumps(value, ensure_ascii=False)


def _lazy(tools: list[Callable]) -> str:
    return "".join(
        f"tool_lazy_{tool.part}[lazy]: /[ \\n\\t\\r]*\\[[ \\n\\t\\r]*{pattern(tool.name)}\\(/\n" for tool in tools
    )


def _tool(tool: Callable, parts: dict[str, dict[str, object]], params: dict[str, str]) -> str:
    """Return the rules of one tool's calls: every argument by its name, those that are required in any case."""
    members = []
    for at, parameter in enumerate(parameters_of(tool)):
        name = f"{tool.part}_{at}"
        if parameter.key is None or not parameter.key.isidentifier():
            _check_left_out(tool, parameter)
            continue
        value = _value(parameter, name)
        if value.startswith("@"):
            parts[name] = {"json_schema": parameter.schema}
            params[name] = tool.param
        members.append((f"{literal(parameter.key + '=')} {value}", parameter.required))
    return (
        f"tool_{tool.part}: {literal(tool.name + '(')} tool_inside_{tool.part}\n"
        f'tool_inside_{tool.part}: {sequence(members, ", ")} ")"\n'
    )


def _check_left_out(tool: Callable, parameter: Parameter) -> None:
    """Refuse a strict tool that needs what Python has no name for; of others such a parameter is left out."""
    if tool.strict and parameter.required:
        raise BadRequest(
            f"{tool.param}: this model writes parameters as Python does, which has no {parameter.key!r}; give it a "
            "name of letters, digits and underscores",
            param=tool.param,
        )


def _value(parameter: Parameter, part: str) -> str:
    if parameter.types == {"boolean"} and "enum" not in parameter.schema and "const" not in parameter.schema:
        return '("True" | "False")'
    return f"@{part}"


def sequence(members: list[tuple[str, bool]], comma: str) -> str:
    """Return members with commas between those that are there; those that are not required may be left out."""
    first = next((at for at, (_, required) in enumerate(members) if required), None)
    if first is None:
        starts = (_tail(members, at, literal(comma)) for at in range(len(members)))
        return f"({' | '.join(starts)})?" if members else ""
    before = "".join(f"({text} {literal(comma)})? " for text, _ in members[:first])
    return before + _tail(members, first, literal(comma))


def _tail(members: list[tuple[str, bool]], at: int, comma: str) -> str:
    """Return member ``at`` and what may follow it."""
    behind = (f"{comma} {text}" if required else f"({comma} {text})?" for text, required in members[at + 1 :])
    return " ".join([members[at][0], *behind])
