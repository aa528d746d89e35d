"""Formats that write every parameter of a call between tags of its own."""

import json
from collections.abc import Container
from dataclasses import dataclass, field

from universal_core.conversation.parsing import Call, TurnParser
from universal_core.conversation.tools.arguments import Callable, callables
from universal_core.conversation.tools.cursor import Cursor, Reading, Waiting
from universal_core.conversation.tools.format import Rules, Spell, calls_many
from universal_core.conversation.tools.lark import (
    GAP,
    TERMINALS,
    either,
    literal,
    marker,
    pattern,
    repeated,
    turn,
)
from universal_core.conversation.tools.objects import whole_value
from universal_core.conversation.tools.turn import Opened, parser_of
from universal_core.conversation.tools.values import Parameter, parameters_of
from universal_core.messages import ChatRequest


@dataclass(frozen=True, slots=True)
class TaggedCalls:
    """Calls of the form ``opening`` ``before`` name ``after``, parameters, ``end``, ``closing``.

    A parameter is ``key`` name ``between`` value ``end_value``; ``edge`` stands on both sides of a value. Several calls
    stand behind one opening where ``grouped`` is true.
    """

    name: str
    opening: str
    closing: str
    before: str
    after: str
    key: str
    between: tuple[str, ...]
    end_value: str
    end: str = ""
    edge: str = ""
    grouped: bool = False

    @property
    def markers(self) -> tuple[str, ...]:
        """Every tag that may be one token."""
        texts = (self.opening, self.closing, self.key, *self.between, self.end_value, self.end)
        return tuple(dict.fromkeys(text.strip() for text in texts if text.strip()))

    @property
    def openings(self) -> tuple[str, ...]:
        """What a call begins with."""
        return (self.opening,)

    def written(self, name: str, arguments: str) -> str:
        """Return a call as a model writes it."""
        lines = [f"{self.opening}\n{self.before}{name}{self.after.rstrip()}"]
        for key, value in json.loads(arguments).items():
            text = value if isinstance(value, str) else _json(value)
            head = f"{self.key}{key}{''.join(self.between)}"
            lines.append(f"{head}{self.edge}{text}{self.edge}{self.end_value}")
        return "\n".join([*lines, *([self.end] if self.end else []), self.closing])

    def parser(self, request: ChatRequest, *, guaranteed: bool) -> TurnParser:
        """Return what takes a turn apart."""
        return parser_of(_Reader(self, callables(request)), request, guaranteed=guaranteed)

    def rules(self, request: ChatRequest, *, spell: Spell, answer: str = "") -> Rules:
        """Return what a turn must follow."""
        writer = _Writer(self, spell)
        required = request.tool_choice == "required"
        text = turn("tool_calls", self.openings, required=required, answer=answer, spell=spell)
        text += writer.calls(callables(request), calls_many(request))
        return Rules(text + TERMINALS, writer.parts, writer.params)


@dataclass(frozen=True, slots=True)
class _Reader(Opened):
    """Reads calls of tools whose schemas tell the types of their parameters."""

    form: TaggedCalls
    tools: list[Callable]

    @property
    def openings(self) -> tuple[str, ...]:
        """What a call begins with."""
        return self.form.openings

    def call(self, cursor: Cursor, opening: str, position: int, names: Container[str]) -> Reading[bool]:
        """Read one call; its arguments are told as JSON, a parameter at a time."""
        form = self.form
        yield from cursor.spaces()
        if form.before and not (yield from cursor.literal(form.before)):
            return False
        name = yield from self._name(cursor)
        tool = next((tool for tool in self.tools if tool.name == name), None)
        if tool is None or name not in names:
            return False
        yield Call(position, name=name)
        count = 0
        named = {one.key: one for one in parameters_of(tool)}
        while (yield from self._stands(cursor, form.key)):
            key = yield from self._key(cursor)
            parameter = named.get(key) or named.get(None) or Parameter(key, {}, False)
            text = yield from self._value(cursor, parameter)
            if key is None or text is None:
                return False
            member = f"{_json(key)}: {_json(parameter.value_of(text))}"
            yield Call(position, arguments=f", {member}" if count else f"{{{member}")
            count += 1
        if not (yield from self._stands(cursor, form.end or form.closing)):
            return False
        yield Call(position, arguments="}" if count else "{}")
        return True

    def again(self, cursor: Cursor, opening: str) -> Reading[bool]:
        """Go over what closes the calls; a further one may come before where they are grouped."""
        if self.form.grouped:
            yield from cursor.spaces()
            if (yield from cursor.next()) == self.form.before[0]:
                start = cursor.at
                if (yield from cursor.literal(self.form.before)):
                    cursor.at = start
                    return True
        if self.form.end:
            yield from self._stands(cursor, self.form.closing)
        return False

    def _name(self, cursor: Cursor) -> Waiting[str | None]:
        if self.form.after.strip():
            return (yield from cursor.until(self.form.after))
        start = cursor.at
        while (character := (yield from cursor.next())) and not character.isspace() and character != "<":
            cursor.at += 1
        return cursor.text[start : cursor.at]

    def _key(self, cursor: Cursor) -> Waiting[str | None]:
        first, *others = self.form.between
        key = yield from cursor.until(first)
        for text in others:
            if not (yield from self._stands(cursor, text)):
                return None
        return None if key is None else key.strip()

    def _value(self, cursor: Cursor, parameter: Parameter) -> Waiting[str | None]:
        form, start = self.form, cursor.at
        if not parameter.is_text and not parameter.choices:
            # The tag that ends a value may stand within a string of JSON.
            yield from cursor.spaces()
            text = yield from whole_value(cursor)
            if text is not None and (yield from self._stands(cursor, form.end_value)):
                return text
            cursor.at = start
        value = yield from cursor.until(form.end_value)
        return None if value is None else value.removeprefix(form.edge).removesuffix(form.edge)

    def _stands(self, cursor: Cursor, text: str) -> Waiting[bool]:
        yield from cursor.spaces()
        return (yield from cursor.literal(text.strip()))


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the rules of calls, and collects the parts that they refer to."""

    form: TaggedCalls
    spell: Spell
    parts: dict[str, dict[str, object]] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)

    def calls(self, tools: list[Callable], many: bool) -> str:
        """Return the rules of one call or several."""
        form = self.form
        one = either(f"tool_{tool.part}" for tool in tools)
        close = f"{GAP} {self._spelled(form.closing)}"
        if form.grouped:
            text = f"tool_calls: {repeated('tool_one', '', many=many)} {close}\ntool_one: {GAP} {one}\n"
        else:
            opening = f"{GAP} {self._spelled(form.opening)}"
            text = f"tool_calls: {repeated('tool_one', opening, many=many)}\ntool_one: {GAP} {one} {close}\n"
        text += self._ending()
        return text + "".join(self._tool(tool) for tool in tools)

    def _tool(self, tool: Callable) -> str:
        form = self.form
        head = literal(f"{form.before}{tool.name}{form.after}")
        rules, names = "", []
        for at, parameter in enumerate(parameters_of(tool)):
            name = f"tool_{tool.part}_{at}"
            names.append(name if parameter.required else f"{name}*" if parameter.key is None else f"{name}?")
            rules += self._parameter(name, f"{tool.part}_{at}", tool.param, parameter)
        end = f"{GAP} {self._spelled(form.end)}" if form.end else ""
        return f"tool_{tool.part}: {head} {' '.join(names)} {end}\n{rules}"

    def _parameter(self, name: str, part: str, param: str, parameter: Parameter) -> str:
        form = self.form
        key = "/[A-Za-z_][A-Za-z0-9_-]{0,63}/" if parameter.key is None else literal(parameter.key)
        begin = f"{GAP} {self._spelled(form.key)} {key} {self._spelled(*form.between)}"
        edge = literal(form.edge) if form.edge else ""
        if parameter.choices:
            value = f"{either(literal(one + form.edge) for one in parameter.choices)} {self._spelled(form.end_value)}"
        elif parameter.is_text:
            value = "tool_text_end"
        else:
            self.parts[part] = {"json_schema": parameter.schema}
            self.params[part] = param
            value = f"@{part} {edge} {self._spelled(form.end_value)}"
        return f"{name}: {begin} {edge} {value}\n"

    def _ending(self) -> str:
        """Return the rule of a text up to the tag that ends it, whichever way that is written."""
        end, token = self.form.end_value, self.spell(self.form.end_value)
        by_token = f" | TOOL_TEXT {token}" if token != literal(end) else ""
        return f"tool_text_end: tool_text_lazy{by_token}\ntool_text_lazy[lazy]: /(?s:.*){pattern(end)}/\n"

    def _spelled(self, *texts: str) -> str:
        # White space before a tag is no part of its token.
        parts = (part for text in texts for part in (text[: -len(text.lstrip())], text.lstrip()) if part)
        return " ".join(marker((part,), self.spell) for part in parts)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
