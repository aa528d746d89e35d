"""Calls of tools: the formats in which models write them, read and enforced."""

from universal_core.conversation.tools.arguments import Callable, callables
from universal_core.conversation.tools.detection import detect
from universal_core.conversation.tools.families import FORMATS, HERMES
from universal_core.conversation.tools.format import Rules, Spell, ToolFormat, callable_tools, calls_many
from universal_core.conversation.tools.support import Support, support_of
from universal_core.conversation.tools.wording import Wording

__all__ = [
    "FORMATS",
    "HERMES",
    "Callable",
    "Rules",
    "Spell",
    "Support",
    "ToolFormat",
    "Wording",
    "callable_tools",
    "callables",
    "calls_many",
    "detect",
    "support_of",
]
