"""What is piped into a command."""

import sys


def piped_text() -> str | None:
    """Return all that is piped in, as text; None where stdin is a terminal, or closed."""
    if sys.stdin is None or sys.stdin.isatty():
        return None
    return sys.stdin.buffer.read().decode("utf-8", "replace").strip()
