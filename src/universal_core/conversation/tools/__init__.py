"""Calls of tools: the formats in which models write them, read and enforced."""

from universal_core.conversation.tools.format import Rules, Spell, ToolFormat, callable_tools, calls_many

__all__ = ["Rules", "Spell", "ToolFormat", "callable_tools", "calls_many"]
