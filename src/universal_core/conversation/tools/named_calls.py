"""Formats whose calls are a name between markers, followed by the arguments as a JSON object."""

from collections.abc import Container
from dataclasses import dataclass

from universal_core.conversation.parsing import Call, TurnParser
from universal_core.conversation.tools.arguments import Callable, callables, parts_of
from universal_core.conversation.tools.cursor import Cursor, Reading, Waiting
from universal_core.conversation.tools.format import Rules, Spell, calls_many
from universal_core.conversation.tools.lark import GAP, TERMINALS, either, literal, marker, repeated, turn
from universal_core.conversation.tools.objects import told_arguments
from universal_core.conversation.tools.turn import Opened, parser_of
from universal_core.messages import ChatRequest


@dataclass(frozen=True, slots=True)
class NamedCalls(Opened):
    """Calls of the form ``opening`` ``before`` name ``after`` arguments ``closing``.

    All of them stand between ``section`` and ``end`` where the format has these. ``id`` stands before an id that may
    follow a name, and ``number`` before the number of a call, where the format has these.
    """

    name: str
    opening: str
    after: tuple[str, ...]
    before: tuple[str, ...] = ()
    closing: tuple[str, ...] = ()
    section: str = ""
    end: str = ""
    id: str = ""
    number: str = ""

    @property
    def markers(self) -> tuple[str, ...]:
        """Every text that stands around a name or arguments."""
        texts = (self.section, self.opening, *self.before, self.id, *self.after, *self.closing, self.end)
        return tuple(dict.fromkeys(text for text in texts if text))

    @property
    def openings(self) -> tuple[str, ...]:
        """What a call may begin with."""
        return (self.section, self.opening) if self.section else (self.opening,)

    def written(self, name: str, arguments: str) -> str:
        """Return a call as a model writes it."""
        number = f"{self.number}0" if self.number else ""
        head = "".join([self.section, self.opening, *self.before, name, number, *self.after])
        return "".join([head, arguments, *self.closing, self.end])

    def parser(self, request: ChatRequest, *, guaranteed: bool) -> TurnParser:
        """Return what takes a turn apart."""
        return parser_of(self, request, guaranteed=guaranteed)

    def rules(self, request: ChatRequest, *, spell: Spell, answer: str = "") -> Rules:
        """Return what a turn must follow."""
        tools = callables(request)
        parts, params = parts_of(tools)
        required = request.tool_choice == "required"
        rules = turn("tool_calls", self.openings[:1], required=required, answer=answer, spell=spell)
        return Rules(rules + self._calls(tools, calls_many(request), spell) + TERMINALS, parts, params)

    def _calls(self, tools: list[Callable], many: bool, spell: Spell) -> str:
        def spelled(*texts: str) -> str:
            return " ".join(marker((text,), spell) for text in texts if text)

        begin, end = spelled(self.opening), f"{GAP} {spelled(self.end)}" if self.end else ""
        first = f"{GAP} {begin}" if self.section else ""
        items = repeated("tool_one", f"{GAP} {begin}", many=many)
        number = f"{literal(self.number)} /[0-9]{{1,3}}/" if self.number else ""
        id = f"({spelled(self.id)} /[A-Za-z0-9]{{9}}/)?" if self.id else ""
        calls = f"tool_calls: {first} {items} {end}\n"
        calls += f"tool_one: {spelled(*self.before)} {either(f'tool_{tool.part}' for tool in tools)}\n"
        return calls + "".join(
            f"tool_{tool.part}: {literal(tool.name)} {number} {id} {spelled(*self.after)} @{tool.part} "
            f"{spelled(*self.closing)}\n"
            for tool in tools
        )

    def call(self, cursor: Cursor, opening: str, position: int, names: Container[str]) -> Reading[bool]:
        """Read one call."""
        if opening == self.section:
            yield from cursor.spaces()
            yield from cursor.literal(self.opening)
        yield from self._texts(cursor, self.before)
        name, id = yield from self._naming(cursor)
        if name not in names or not (yield from self._texts(cursor, self.after)):
            return False
        yield Call(position, name=name, id=id)
        yield from cursor.spaces()
        if (yield from cursor.next()) != "{" or not (yield from told_arguments(cursor, position)):
            return False
        yield from self._texts(cursor, self.closing)
        return True

    def again(self, cursor: Cursor, opening: str) -> Reading[bool]:
        """Go over what opens a further call of a section, or what closes the section."""
        yield from cursor.spaces()
        if not self.section or opening != self.section:
            return False
        if (yield from cursor.literal(self.opening)):
            return True
        yield from cursor.literal(self.end)
        return False

    def _naming(self, cursor: Cursor) -> Waiting[tuple[str, str | None]]:
        yield from cursor.spaces()
        name = yield from _word(cursor)
        id = None
        if self.number and (yield from cursor.literal(self.number)):
            number = yield from _word(cursor)
            id = f"{''.join(self.before)}{name}{self.number}{number}"
        if self.id and (yield from cursor.literal(self.id)):
            id = yield from _word(cursor)
        return name, id

    def _texts(self, cursor: Cursor, texts: tuple[str, ...]) -> Waiting[bool]:
        """Go behind texts one after the other, white space around them aside; return whether they all stand here."""
        for text in texts:
            yield from cursor.spaces()
            if not (yield from cursor.literal(text.strip())):
                return False
        return True


def _word(cursor: Cursor) -> Waiting[str]:
    """Go behind the name that stands here and return it."""
    start = cursor.at
    while (character := (yield from cursor.next())) and (character.isalnum() or character in "_.-"):
        cursor.at += 1
    return cursor.text[start : cursor.at]
