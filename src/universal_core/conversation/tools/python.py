"""Calls that are written as Python writes them, read while they are being written."""

import ast
import json
from collections.abc import Container
from typing import Any

from universal_core.conversation.parsing import Call
from universal_core.conversation.tools.cursor import Cursor, Reading, Waiting

_WORDS = {"true": True, "false": False, "null": None}
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


def python_call(cursor: Cursor, position: int, names: Container[str]) -> Reading[bool]:
    """Read ``name(key=value, …)``; its arguments are told as JSON, one at a time."""
    name = yield from python_name(cursor)
    if name not in names or not (yield from cursor.literal("(")):
        return False
    yield Call(position, name=name)
    return (yield from _arguments(cursor, position))


def dotted_call(cursor: Cursor, position: int, names: Container[str]) -> Reading[bool]:
    """Read ``name.call(key=value, …)``."""
    name = (yield from python_name(cursor)).removesuffix(".call")
    if name not in names or not (yield from cursor.literal("(")):
        return False
    yield Call(position, name=name)
    return (yield from _arguments(cursor, position))


def python_name(cursor: Cursor) -> Waiting[str]:
    """Go behind the name of a function and return it."""
    start = cursor.at
    while (character := (yield from cursor.next())) and (character.isalnum() or character in "_.-"):
        cursor.at += 1
    return cursor.text[start : cursor.at]


def _arguments(cursor: Cursor, position: int) -> Reading[bool]:
    count = 0
    while True:
        yield from cursor.spaces()
        if (yield from cursor.literal(")")):
            yield Call(position, arguments="}" if count else "{}")
            return True
        key = yield from python_name(cursor)
        yield from cursor.spaces()
        if not key or not (yield from cursor.literal("=")):
            return False
        value = yield from _value(cursor)
        if value is None:
            return False
        member = f"{json.dumps(key, ensure_ascii=False)}: {value}"
        yield Call(position, arguments=f", {member}" if count else f"{{{member}")
        count += 1
        if not (yield from cursor.literal(",")) and (yield from cursor.next()) != ")":
            return False


def _value(cursor: Cursor) -> Waiting[str | None]:
    """Go behind the value that stands here, up to the comma or bracket behind it, and return it as JSON."""
    start, closers, quote = cursor.at, "", ""
    while character := (yield from cursor.next()):
        if quote:
            quote = "" if character == quote else quote
            if character == "\\":
                cursor.at += 1
                yield from cursor.next()
        elif character in "\"'":
            quote = character
        elif character in _BRACKETS:
            closers += _BRACKETS[character]
        elif closers and character == closers[-1]:
            closers = closers[:-1]
        elif not closers and character in ",)":
            return json_of(cursor.text[start : cursor.at].strip())
        cursor.at += 1
    return None


def json_of(text: str) -> str | None:
    """Return a value that is written as JSON or in Python's way as JSON, None where it is neither."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        pass
    else:
        return text
    try:
        value = _literal(ast.parse(text, mode="eval").body)
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def _literal(node: ast.expr) -> Any:
    match node:
        case ast.Name(id=name) if name in _WORDS:
            return _WORDS[name]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_literal(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            return {_literal(key) if key else None: _literal(value) for key, value in zip(keys, values, strict=True)}
    return ast.literal_eval(node)
