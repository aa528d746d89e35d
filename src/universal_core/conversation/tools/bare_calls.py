"""Formats whose calls are JSON objects that a turn begins with, without any marker."""

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any

from universal_core.conversation.parsing import Call, TurnParser
from universal_core.conversation.tools.arguments import ANY, Callable, callables, parts_of, problem_of
from universal_core.conversation.tools.cursor import Cursor, Reading
from universal_core.conversation.tools.format import Rules, Spell, calls_many
from universal_core.conversation.tools.json_calls import object_rule, written_object
from universal_core.conversation.tools.lark import GAP, SPACE, TERMINALS, either, literal, marker, pattern, repeated
from universal_core.conversation.tools.objects import json_call, told_arguments
from universal_core.conversation.tools.python import dotted_call
from universal_core.conversation.tools.turn import parser_of
from universal_core.messages import ChatRequest

FENCE = "```"
_TAG = "<function="
_ANYWHERE = "[ \\n\\t\\r]*"


@dataclass(frozen=True, slots=True)
class BareCalls:
    """Calls that a turn begins with, one object or several with ``separator`` between them.

    ``opening`` may stand before them, at any place. One of ``fences`` may stand before them and ``FENCE`` behind, and
    then they may be a list. Where the form is ``ordered``, an object is a call only if its name comes first, as the
    rules have it.
    """

    name: str
    key: str
    separator: str
    opening: str = ""
    fences: tuple[str, ...] = ()
    ordered: bool = False

    @property
    def markers(self) -> tuple[str, ...]:
        """The opening."""
        return (self.opening,) if self.opening else ()

    @property
    def openings(self) -> tuple[str, ...]:
        """What a call may begin with at any place."""
        return (self.opening, _TAG) if self.opening else ()

    def written(self, name: str, arguments: str) -> str:
        """Return a call as a model writes it."""
        return written_object(name, arguments, self.key)

    def parser(self, request: ChatRequest, *, guaranteed: bool) -> TurnParser:
        """Return what takes a turn apart."""
        return parser_of(replace(self, ordered=guaranteed), request, guaranteed=guaranteed)

    def rules(self, request: ChatRequest, *, spell: Spell, answer: str = "") -> Rules:
        """Return what a turn must follow."""
        tools, many = callables(request), calls_many(request)
        parts, params = parts_of(tools)
        if answer and request.tool_choice != "required":
            # Two forms that begin alike can be told apart where both are schemas.
            calls = {f"call_{tool.part}": {"json_schema": _call_schema(tool, self.key)} for tool in tools}
            items = repeated("tool_one", f"{GAP} {literal(self.separator)} {GAP}", many=many)
            text = f"turn: {answer} | {items}\ntool_one: {either(f'@{name}' for name in calls)}\n"
            return Rules(text + TERMINALS, calls, {f"call_{tool.part}": tool.param for tool in tools})
        begin = f"({marker([self.opening], spell)} {GAP})?" if self.opening else ""
        text = f"turn: {GAP} {begin} tool_calls\n" if request.tool_choice == "required" else self._free(tools, spell)
        return Rules(text + self._calls(tools, many) + TERMINALS, parts, params)

    def _calls(self, tools: list[Callable], many: bool) -> str:
        one = either(f"tool_{tool.part}" for tool in tools)
        further = f"({GAP} {literal(self.separator)} {GAP} tool_one)*" if many else ""
        close = f'({GAP} "]")? ({GAP} {literal(FENCE)})?' if self.fences else ""
        return f"tool_calls: tool_one {further}\ntool_one: {one}\ntool_further: {further} {close}\n" + "".join(
            f"tool_{tool.part}: {object_rule(tool, self.key)}\n" for tool in tools
        )

    def _free(self, tools: list[Callable], spell: Spell) -> str:
        """Return the rules of a turn that is text unless it begins as a call of a tool does."""
        heads = [f"tool_head_{tool.part} tool_further" for tool in tools]
        rules = "".join(self._head(tool) for tool in tools)
        if self.opening:
            heads += [f"tool_begin {GAP} tool_calls", "tool_tag tool_tagged"]
            token = spell(self.opening)
            begins = ["tool_lazy"] + ([f"TOOL_TEXT {token}"] if token != literal(self.opening) else [])
            rules += f"tool_begin: {either(begins)}\ntool_lazy[lazy]: /(?s:.*){pattern(self.opening)}/\n"
            rules += f"tool_tag[lazy]: /(?s:.*){pattern(_TAG)}/\ntool_tagged: "
            rules += either(f'{literal(tool.name + ">")} @{tool.part} "</function>"' for tool in tools) + "\n"
        return f"turn: TOOL_TEXT | {' | '.join(heads)}\n{rules}"

    def _head(self, tool: Callable) -> str:
        w = _ANYWHERE
        name = pattern(literal(tool.name))
        fence = f"(({'|'.join(map(pattern, self.fences))}){w})?(\\[{w})?" if self.fences else ""
        head = f'{w}{fence}\\{{{w}("type"{w}:{w}"function"{w},{w})?"name"{w}:{w}{name}'
        return (
            f"tool_head_{tool.part}: tool_lazy_{tool.part} "
            f'/{SPACE},{SPACE}"{self.key}"{SPACE}:[ ]?/ @{tool.part} {GAP} "}}"\n'
            f"tool_lazy_{tool.part}[lazy]: /{head}/\n"
        )

    def opens(self, cursor: Cursor) -> Reading[bool]:
        """Return whether an object begins here, or a fence."""
        yield from cursor.spaces()
        if (yield from cursor.one_of(self.fences)):
            yield from cursor.spaces()
        return (yield from cursor.next()) in (*"{", *("[" if self.fences else ""))

    def call(self, cursor: Cursor, opening: str, position: int, names: Container[str]) -> Reading[bool]:
        """Read one call."""
        if opening == _TAG:
            return (yield from _tagged(cursor, position, names))
        yield from cursor.spaces()
        if (yield from cursor.one_of(self.fences)):
            yield from cursor.spaces()
        if self.fences and (yield from cursor.literal("[")):
            yield from cursor.spaces()
        if opening and (yield from cursor.next()) != "{":
            return (yield from dotted_call(cursor, position, names))
        return (yield from json_call(cursor, position, names, alone=True, ordered=self.ordered))

    def again(self, cursor: Cursor, opening: str) -> Reading[bool]:
        """Go over what stands between two calls, or closes them."""
        yield from cursor.spaces()
        if opening != _TAG and (yield from cursor.one_of((",", ";"))):
            return True
        if self.fences and (yield from cursor.literal("]")):
            yield from cursor.spaces()
        yield from cursor.one_of((FENCE,) if self.fences else ())
        return False


def _tagged(cursor: Cursor, position: int, names: Container[str]) -> Reading[bool]:
    """Read a call that has its name in a tag before its arguments."""
    name = yield from cursor.until(">")
    if name is None or name not in names:
        return False
    yield Call(position, name=name)
    yield from cursor.spaces()
    if (yield from cursor.next()) != "{" or not (yield from told_arguments(cursor, position)):
        return False
    yield from cursor.spaces()
    yield from cursor.literal("</function>")
    return True


def _call_schema(tool: Callable, key: str) -> dict[str, Any]:
    """Return the schema of a whole call; definitions stand where references look for them."""
    shared = {name: tool.schema[name] for name in ("$defs", "definitions") if name in tool.schema}
    own = {name: value for name, value in tool.schema.items() if name not in shared}

    def call(arguments: Any) -> dict[str, Any]:
        properties = {"name": {"const": tool.name}, key: arguments}
        return {
            **shared,
            "type": "object",
            "properties": properties,
            "required": ["name", key],
            "additionalProperties": False,
        }

    return call(ANY) if problem_of(call(own)) else call(own)
