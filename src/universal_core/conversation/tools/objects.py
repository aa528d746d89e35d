"""Calls that are JSON objects with a name and arguments, read while they are being written."""

import json
import re
from collections.abc import Container, Generator
from typing import Any

from universal_core.conversation.parsing import Call
from universal_core.conversation.tools.cursor import Cursor, Reading, Waiting

_OUTSIDE = re.compile(r'["{}\[\]]')
_INSIDE = re.compile(r'["\\]')
_SCALAR_END = re.compile(r"[,\]}\s]")
_NAMES = ("name",)
_ARGUMENTS = ("arguments", "parameters", "args")
_NESTED = ("function",)
_KEYS = (*_NAMES, *_ARGUMENTS, *_NESTED, "type", "id")


def json_value(cursor: Cursor) -> Generator[str | None, None, bool]:
    """Go behind the JSON value that stands here, telling its text in parts; return whether it is whole.

    Only brackets and quotes are looked at: whether what stands between them is JSON, its reader has to see.
    """
    first = yield from cursor.next()
    if first not in "{[":
        return (yield from _string(cursor) if first == '"' else _scalar(cursor))
    depth = 0
    while True:
        start, found = cursor.at, _OUTSIDE.search(cursor.text, cursor.at)
        if found is None:
            cursor.at = len(cursor.text)
            if start < cursor.at:
                yield cursor.text[start:]
            if not (yield from cursor.more()):
                return False
        elif found[0] == '"':
            cursor.at = found.start()
            if start < cursor.at:
                yield cursor.text[start : cursor.at]
            if not (yield from _string(cursor)):
                return False
        else:
            cursor.at = found.end()
            depth += 1 if found[0] in "{[" else -1
            yield cursor.text[start : cursor.at]
            if not depth:
                return True


def _string(cursor: Cursor) -> Generator[str | None, None, bool]:
    start = cursor.at
    cursor.at += 1
    while True:
        found = _INSIDE.search(cursor.text, cursor.at)
        if found is not None and found[0] == '"':
            cursor.at = found.end()
            yield cursor.text[start : cursor.at]
            return True
        if found is not None and found.end() < len(cursor.text):
            cursor.at = found.end() + 1
            continue
        # What a backslash escapes is not there yet: the two go out together.
        cursor.at = found.start() if found is not None else len(cursor.text)
        if start < cursor.at:
            yield cursor.text[start : cursor.at]
        start = cursor.at
        if not (yield from cursor.more()):
            return False


def _scalar(cursor: Cursor) -> Generator[str | None, None, bool]:
    start = cursor.at
    while not (found := _SCALAR_END.search(cursor.text, cursor.at)):
        cursor.at = len(cursor.text)
        if not (yield from cursor.more()):
            break
    cursor.at = found.start() if found else len(cursor.text)
    if start == cursor.at:
        return False
    yield cursor.text[start : cursor.at]
    return True


def whole_value(cursor: Cursor) -> Waiting[str | None]:
    """Go behind the JSON value that stands here and return its text; None where it is not whole."""
    parts: list[str] = []
    reading = json_value(cursor)
    while True:
        try:
            part = next(reading)
        except StopIteration as end:
            return "".join(parts) if end.value else None
        if part is None:
            yield None
        else:
            parts.append(part)


def json_string(cursor: Cursor) -> Waiting[str | None]:
    """Go behind the JSON string that stands here and return what it says."""
    if (yield from cursor.next()) != '"':
        return None
    text = yield from whole_value(cursor)
    found = parsed(text)
    return found if isinstance(found, str) else None


def parsed(text: str | None) -> Any:
    """Return what a JSON text says, None where it is none."""
    try:
        return json.loads(text or "null", strict=False)
    except (ValueError, RecursionError):
        return None


def told_arguments(cursor: Cursor, position: int) -> Reading[bool]:
    """Tell the JSON value that stands here as the arguments of a call, in parts; return whether it is whole."""
    reading = json_value(cursor)
    while True:
        try:
            part = next(reading)
        except StopIteration as end:
            return bool(end.value)
        yield None if part is None else Call(position, arguments=part)


def json_call(
    cursor: Cursor, position: int, names: Container[str], *, alone: bool = False, ordered: bool = False
) -> Reading[bool]:
    """Read an object with a name and arguments; the arguments are held back until the name is known.

    A further key ``id`` that comes before them is the call's id. Other keys are passed over, and a key ``function``
    may hold the two. An object without arguments calls without any. Where the object stands ``alone``, nothing but its
    keys tells that it is a call: there may be no others. Where it is ``ordered``, the name comes first, but for a type.
    """
    return (yield from _Object(cursor, position, names, alone or ordered, ordered).read())


class _Object:
    """One call as an object, as far as it is known."""

    def __init__(self, cursor: Cursor, position: int, names: Container[str], alone: bool, ordered: bool) -> None:
        self._alone = alone
        self._ordered = ordered
        self._cursor = cursor
        self._position = position
        self._names = names
        self._name: str | None = None
        self._id: str | None = None
        self._waiting: str | None = None
        self._told = False

    def read(self) -> Reading[bool]:
        """Read the whole object."""
        if not (yield from self._members()) or self._name is None:
            return False
        if not self._told:
            yield Call(self._position, arguments=_unwrapped(self._waiting or "{}"))
        return True

    def _members(self) -> Reading[bool]:
        cursor = self._cursor
        if not (yield from cursor.literal("{")):
            return False
        while True:
            yield from cursor.spaces()
            key = yield from json_string(cursor)
            yield from cursor.spaces()
            if key is None or (self._alone and key not in _KEYS) or not (yield from cursor.literal(":")):
                return False
            yield from cursor.spaces()
            if not (yield from self._member(key)):
                return False
            yield from cursor.spaces()
            if (yield from cursor.literal("}")):
                return True
            if not (yield from cursor.literal(",")):
                return False

    def _member(self, key: str) -> Reading[bool]:
        first = yield from self._cursor.next()
        if self._ordered and self._name is None and key not in ("name", "type"):
            return False
        if key in _NESTED and first == "{":
            return (yield from self._members())
        if key in (*_NAMES, *_NESTED) and first == '"':
            return (yield from self._naming())
        if key in _ARGUMENTS:
            return (yield from self._arguments(first))
        text = yield from whole_value(self._cursor)
        if key == "id" and isinstance(parsed(text), str):
            self._id = parsed(text)
        return text is not None and not (self._ordered and key == "type" and parsed(text) != "function")

    def _naming(self) -> Reading[bool]:
        name = yield from json_string(self._cursor)
        if name is None or name not in self._names or self._name is not None:
            return False
        self._name = name
        yield Call(self._position, name=name, id=self._id)
        return True

    def _arguments(self, first: str) -> Reading[bool]:
        if self._told or self._waiting is not None:
            return False
        if self._name is None or first != "{":
            self._waiting = yield from whole_value(self._cursor)
            return self._waiting is not None
        self._told = True
        return (yield from told_arguments(self._cursor, self._position))


def _unwrapped(arguments: str) -> str:
    """Return arguments as an object: some models write it as a string of JSON, and some null for none."""
    found = parsed(arguments)
    if isinstance(found, str):
        return found
    return "{}" if found is None else arguments
