"""The formats of Gemma's models for functions: ``call:name{key:value}``, with quotes that are tokens of their own."""

import json
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from universal_core.conversation.parsing import Call, TurnParser
from universal_core.conversation.tools.arguments import Callable, callables
from universal_core.conversation.tools.cursor import Cursor, Reading, Waiting
from universal_core.conversation.tools.format import Rules, Spell, calls_many
from universal_core.conversation.tools.lark import GAP, TERMINALS, either, literal, marker, pattern, repeated, turn
from universal_core.conversation.tools.objects import json_string
from universal_core.conversation.tools.python import json_of
from universal_core.conversation.tools.pythonic_calls import sequence
from universal_core.conversation.tools.turn import Opened, parser_of
from universal_core.conversation.tools.values import Parameter, parameters_of
from universal_core.messages import ChatRequest


@dataclass(frozen=True, slots=True)
class GemmaCalls(Opened):
    """Calls between ``opening`` and ``closing``, with ``quote`` on both sides of a text."""

    name: str
    opening: str
    closing: str
    quote: str

    @property
    def markers(self) -> tuple[str, ...]:
        """The opening, the closing and the quote."""
        return (self.opening, self.closing, self.quote)

    @property
    def openings(self) -> tuple[str, ...]:
        """What a call begins with."""
        return (self.opening,)

    def written(self, name: str, arguments: str) -> str:
        """Return a call as a model writes it."""
        return f"{self.opening}call:{name}{self._written(json.loads(arguments))}{self.closing}"

    def _written(self, value: Any) -> str:
        match value:
            case str():
                return f"{self.quote}{value}{self.quote}"
            case dict():
                return f"{{{','.join(f'{key}:{self._written(one)}' for key, one in value.items())}}}"
            case list():
                return f"[{','.join(self._written(one) for one in value)}]"
        return json.dumps(value)

    def parser(self, request: ChatRequest, *, guaranteed: bool) -> TurnParser:
        """Return what takes a turn apart."""
        return parser_of(self, request, guaranteed=guaranteed)

    def rules(self, request: ChatRequest, *, spell: Spell, answer: str = "") -> Rules:
        """Return what a turn must follow."""
        tools = callables(request)
        parts: dict[str, dict[str, object]] = {}
        params: dict[str, str] = {}
        required = request.tool_choice == "required"
        text = turn("tool_calls", self.openings, required=required, answer=answer, spell=spell)
        opening, closing = marker([self.opening], spell), marker([self.closing], spell)
        text += f"tool_calls: {repeated('tool_one', f'{GAP} {opening}', many=calls_many(request))}\n"
        text += f'tool_one: {GAP} "call:" {either(f"tool_{tool.part}" for tool in tools)} {GAP} {closing}\n'
        text += self._text(spell) + "".join(self._tool(tool, parts, params, spell) for tool in tools)
        return Rules(text + TERMINALS, parts, params)

    def _text(self, spell: Spell) -> str:
        """Return the rules of a text up to the quote behind it, whichever way that is written."""
        token = spell(self.quote)
        by_token = f" | TOOL_TEXT {token}" if token != literal(self.quote) else ""
        return f"tool_text_end: tool_text_lazy{by_token}\ntool_text_lazy[lazy]: /(?s:.*){pattern(self.quote)}/\n"

    def _tool(self, tool: Callable, parts: dict[str, dict[str, object]], params: dict[str, str], spell: Spell) -> str:
        members = []
        for at, parameter in enumerate(parameters_of(tool)):
            if parameter.key is None:
                continue
            part = f"{tool.part}_{at}"
            value = self._value(parameter, part, spell)
            if value.startswith("@"):
                parts[part] = {"json_schema": parameter.schema}
                params[part] = tool.param
            members.append((f"{literal(parameter.key + ':')} {value}", parameter.required))
        return f'tool_{tool.part}: {literal(tool.name + "{")} {sequence(members, ",")} "}}"\n'

    def _value(self, parameter: Parameter, part: str, spell: Spell) -> str:
        quote = marker([self.quote], spell)
        if parameter.choices:
            return f"{quote} {either(literal(one) for one in parameter.choices)} {quote}"
        return f"{quote} tool_text_end" if parameter.is_text and parameter.types == {"string"} else f"@{part}"

    def call(self, cursor: Cursor, opening: str, position: int, names: Container[str]) -> Reading[bool]:
        """Read one call; its arguments are told as JSON, one at a time."""
        yield from cursor.spaces()
        yield from cursor.literal("call:")
        name = yield from cursor.until("{")
        if name is None or name.strip() not in names:
            return False
        yield Call(position, name=name.strip())
        count = 0
        while not (yield from self._closed(cursor, "}")):
            member = yield from self._member(cursor)
            if member is None:
                return False
            yield Call(position, arguments=f", {member}" if count else f"{{{member}")
            count += 1
        yield Call(position, arguments="}" if count else "{}")
        yield from cursor.spaces()
        yield from cursor.literal(self.closing)
        return True

    def again(self, cursor: Cursor, opening: str) -> Reading[bool]:
        """Return that every call has an opening of its own."""
        return False
        yield

    def _closed(self, cursor: Cursor, bracket: str) -> Waiting[bool]:
        yield from cursor.spaces()
        if (yield from cursor.literal(",")):
            yield from cursor.spaces()
        return (yield from cursor.literal(bracket))

    def _member(self, cursor: Cursor) -> Waiting[str | None]:
        if (yield from cursor.next()) == '"':
            key = yield from json_string(cursor)
            yield from cursor.spaces()
            if not (yield from cursor.literal(":")):
                return None
        else:
            key = yield from cursor.until(":")
        yield from cursor.spaces()
        value = yield from self._read(cursor)
        return None if key is None or value is None else f"{json.dumps(key.strip(), ensure_ascii=False)}: {value}"

    def _read(self, cursor: Cursor) -> Waiting[str | None]:
        """Go behind a value and return it as JSON."""
        if (yield from cursor.literal(self.quote)):
            text = yield from cursor.until(self.quote)
            return None if text is None else json.dumps(text, ensure_ascii=False)
        first = yield from cursor.next()
        if first == '"':
            text = yield from json_string(cursor)
            return None if text is None else json.dumps(text, ensure_ascii=False)
        if first and first in "{[":
            cursor.at += 1
            return (yield from self._items(cursor, first))
        start = cursor.at
        while (character := (yield from cursor.next())) and character not in ",]}":
            cursor.at += 1
        text = cursor.text[start : cursor.at].strip()
        if not character or not text:
            return None
        return json_of(text) or json.dumps(text, ensure_ascii=False)

    def _items(self, cursor: Cursor, bracket: str) -> Waiting[str | None]:
        closing = "}" if bracket == "{" else "]"
        found: list[str] = []
        while not (yield from self._closed(cursor, closing)):
            item = yield from self._member(cursor) if bracket == "{" else self._read(cursor)
            if item is None:
                return None
            found.append(item)
        return f"{bracket}{', '.join(found)}{closing}"
