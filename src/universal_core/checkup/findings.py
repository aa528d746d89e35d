"""What a check says of one thing."""

from typing import Literal

import msgspec

State = Literal["ok", "warning", "problem"]


class Finding(msgspec.Struct, frozen=True):
    """What was looked at, whether it is well, what was found, and what mends it: a command wherever there is one."""

    name: str
    state: State
    found: str
    advice: str | None = None


def ok(name: str, found: str) -> Finding:
    """Return that something is well."""
    return Finding(name, "ok", found)


def warning(name: str, found: str, advice: str) -> Finding:
    """Return that something works, but not as well as it could."""
    return Finding(name, "warning", found, advice)


def problem(name: str, found: str, advice: str) -> Finding:
    """Return that something does not work."""
    return Finding(name, "problem", found, advice)
