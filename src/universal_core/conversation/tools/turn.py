"""Takes turns apart that have calls in them: content as it comes, calls as their format has them."""

import json
from collections.abc import Container
from typing import Protocol

from universal_core.conversation.parsing import Call, Content, Piece, PlainTurn, TurnParser
from universal_core.conversation.stops import could_begin, half_marker
from universal_core.conversation.tools.cursor import Cursor, Reading
from universal_core.conversation.tools.format import callable_tools
from universal_core.messages import ChatRequest, FinishReason


class CallForm(Protocol):
    """What the driver asks of a format."""

    @property
    def openings(self) -> tuple[str, ...]:
        """The texts that calls begin with, wherever they stand in a turn."""

    def opens(self, cursor: Cursor) -> Reading[bool]:
        """Return whether a call may stand at the beginning of a turn without an opening; the cursor need not stay."""

    def call(self, cursor: Cursor, opening: str, position: int, names: Container[str]) -> Reading[bool]:
        """Read one call behind an opening or what ``again`` went over; return whether it is whole."""

    def again(self, cursor: Cursor, opening: str) -> Reading[bool]:
        """Go on behind a call; return whether a further one must follow before the calls are closed."""


class Opened:
    """A form whose calls never stand without an opening."""

    __slots__ = ()

    def opens(self, cursor: Cursor) -> Reading[bool]:
        """Return that none begins here."""
        return False
        yield


class CallingTurn:
    """Reads a turn in a form; ``guaranteed`` says that a grammar keeps its calls whole and of tools in ``names``.

    ``required`` says that this grammar leaves room for nothing but calls.
    """

    thinking = False

    def __init__(self, form: CallForm, names: Container[str], *, guaranteed: bool, required: bool = False) -> None:
        self._form = form
        self._names = names
        self._guaranteed = guaranteed
        self._required = guaranteed and required
        self._cut = False
        self._cursor = Cursor()
        self._calls = 0
        self._settled = 0
        self._fed = 0
        self._behind_call = False
        self._reading = self._read()

    @property
    def held(self) -> int:
        """How many characters at the end are in no piece yet."""
        return self._fed - self._settled

    def feed(self, text: str) -> list[Piece]:
        """Return the pieces that a further text completes."""
        self._fed += len(text)
        self._cursor.add(text)
        return self._go() if text else []

    def close(self, reason: FinishReason) -> list[Piece]:
        """Return what was held back; where the turn was cut in the middle of calls, what is left says nothing."""
        self._cursor.closed = True
        self._cut = self._guaranteed and reason == "length"
        found = self._go()
        self._settled = self._fed
        return found

    def _go(self) -> list[Piece]:
        found: list[Piece] = []
        for piece in self._reading:
            if piece is None:
                break
            found.append(piece)
        return found

    def _read(self) -> Reading[None]:
        cursor = self._cursor
        if (yield from self._form.opens(cursor)):
            cursor.at = 0
            yield from self._calls_behind("")
        cursor.at = 0 if not self._calls else cursor.at
        while True:
            opening = yield from self._free()
            if opening is None:
                return
            yield from self._calls_behind(opening)

    def _free(self) -> Reading[str | None]:
        """Tell content up to the next opening and stand before it and the white space there; None at the end."""
        cursor = self._cursor
        while True:
            found = _first(cursor.text, cursor.at, self._form.openings)
            end = found[0] if found else len(cursor.text)
            if self._cut and not found and (half := half_marker(cursor.rest, self._form.openings)):
                end = cursor.at + len(cursor.rest[:-half].rstrip())
            certain = end if found or cursor.closed else end - could_begin(cursor.rest, self._form.openings)
            if not (cursor.closed and not found):
                certain = cursor.at + len(cursor.text[cursor.at : certain].rstrip())
            yield from self._content(certain)
            if found:
                return found[1]
            if not (yield from cursor.more()):
                return None

    def _content(self, end: int) -> Reading[None]:
        """Tell the text up to ``end`` as content; the white space behind a call is none of it."""
        cursor = self._cursor
        if self._behind_call:
            while cursor.at < end and cursor.text[cursor.at].isspace():
                cursor.at += 1
        text, start = cursor.text[cursor.at : end], cursor.place
        if not text or (self._cut and (self._calls or self._required)):
            # A grammar lets nothing but calls follow a call.
            cursor.at = end
            return
        cursor.at = end
        cursor.forget()
        self._behind_call = False
        yield from self._tell(Content(text, start))

    def _calls_behind(self, opening: str) -> Reading[None]:
        """Read the calls that an opening opens; what is none is content."""
        cursor = self._cursor
        begin = cursor.at
        yield from cursor.spaces()
        cursor.at += len(opening)
        behind = cursor.at
        if not (yield from self._attempt(opening)):
            cursor.at = len(cursor.text) if self._cut and opening else begin
            if opening and not self._cut:
                yield from self._content(behind)
            return
        while True:
            cursor.forget()
            if not (yield from self._form.again(cursor, opening)):
                return
            if not (yield from self._attempt(opening)):
                cursor.at = 0
                return

    def _attempt(self, opening: str) -> Reading[bool]:
        """Read one call and tell it, at once where it is guaranteed, else when it is whole; return whether it is."""
        held: list[Call] = []
        told = False
        reading = self._form.call(self._cursor, opening, self._calls, self._names)
        while True:
            try:
                piece = next(reading)
            except StopIteration as end:
                whole = bool(end.value)
                break
            if piece is None:
                yield None
            elif self._guaranteed:
                told = True
                yield from self._tell(piece)
            elif isinstance(piece, Call):
                held.append(piece)
        if not told and not (whole and _is_valid(held)):
            return False
        for piece in held:
            yield from self._tell(piece)
        if not whole and self._cursor.closed:
            # Cut in the middle of a call: what is left belongs to it.
            self._cursor.at = len(self._cursor.text)
        self._calls += 1
        self._behind_call = True
        return True

    def _tell(self, piece: Piece) -> Reading[None]:
        self._settled = self._cursor.place
        yield piece


def parser_of(form: CallForm, request: ChatRequest, *, guaranteed: bool) -> TurnParser:
    """Return what takes a turn apart in a form; all is content where no tool may be called."""
    names = frozenset(tool.name for tool in callable_tools(request).values())
    if not names:
        return PlainTurn()
    return CallingTurn(form, names, guaranteed=guaranteed, required=request.tool_choice == "required")


def _is_valid(pieces: list[Call]) -> bool:
    try:
        return isinstance(json.loads("".join(piece.arguments for piece in pieces)), dict)
    except (ValueError, RecursionError):
        return False


def _first(text: str, start: int, openings: tuple[str, ...]) -> tuple[int, str] | None:
    """Return the first of the openings in a text, the longest where several stand at one place."""
    found = [(text.find(one, start), -len(one), one) for one in openings]
    best = min((one for one in found if one[0] >= 0), default=None)
    return (best[0], best[2]) if best else None
