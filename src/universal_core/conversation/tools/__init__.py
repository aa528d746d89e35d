"""Calls of tools: the formats in which models write them, read and enforced."""

from universal_core.conversation.tools.detection import format_of
from universal_core.conversation.tools.families import FORMATS, HERMES
from universal_core.conversation.tools.format import Rules, Spell, ToolFormat, callable_tools, calls_many

__all__ = ["FORMATS", "HERMES", "Rules", "Spell", "ToolFormat", "callable_tools", "calls_many", "format_of"]
