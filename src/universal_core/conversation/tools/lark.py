"""Rules of calls in llguidance's form of Lark, put together from the texts that formats are made of."""

import json
import re
from collections.abc import Iterable

from universal_core.conversation.tools.format import Spell

GAP = "tool_gap?"
"""White space where a format does not care for it."""

SPACE = "[ \\n\\t]{0,4}"
"""The same within a regular expression."""

TERMINALS = """\
tool_gap: TOOL_GAP
TOOL_GAP: /[ \\n\\t]{1,4}/
TOOL_TEXT: /(?s:.*)/
"""


def literal(text: str) -> str:
    """Return a text as Lark writes it."""
    return json.dumps(text, ensure_ascii=False)


def either(options: Iterable[str]) -> str:
    """Return any one of several expressions."""
    return "(" + " | ".join(options) + ")"


def pattern(text: str) -> str:
    """Return a text as a regular expression has it, between slashes."""
    return re.escape(text).replace("/", "\\/").replace("\\ ", " ").replace("\\\n", "\\n")


def marker(texts: Iterable[str], spell: Spell) -> str:
    """Return any one of several markers, as one token or letter by letter."""
    spelled = (option for text in texts for option in (spell(text), literal(text)))
    return either(dict.fromkeys(spelled))


def turn(calls: str, openings: tuple[str, ...], *, required: bool, answer: str, spell: Spell) -> str:
    """Return the rules of a turn whose calls stand behind an opening: the first that a call follows ends free text."""
    if required:
        return f"turn: {GAP} {marker(openings[:1], spell)} {calls}\n"
    if answer:
        return f"turn: {answer} | {GAP} {marker(openings[:1], spell)} {calls}\n"
    begins = ["tool_lazy", *(f"TOOL_TEXT {token}" for one in openings if (token := spell(one)) != literal(one))]
    anywhere = "|".join(pattern(one) for one in openings)
    return (
        f"turn: TOOL_TEXT | tool_begin {calls}\ntool_begin: {either(begins)}\ntool_lazy[lazy]: /(?s:.*)({anywhere})/\n"
    )


def repeated(item: str, separator: str, *, many: bool) -> str:
    """Return one item, or several with a separator between them."""
    return f"{item} ({separator} {item})*" if many else item
