"""Which dialect a model speaks, told by its chat template and its vocabulary."""

import logging

from universal_core.conversation.dialect import Dialect, TaggedDialect
from universal_core.conversation.harmony import HarmonyDialect, is_harmony
from universal_core.conversation.reasoning import reasoning_format_of
from universal_core.conversation.template import ChatTemplate
from universal_core.conversation.tools import FORMATS, HERMES, Support, ToolFormat, Wording, detect, support_of
from universal_core.conversation.vocabulary import Vocabulary
from universal_core.errors import LoadFailed

_log = logging.getLogger(__name__)


def dialect_of(
    vocabulary: Vocabulary,
    template: ChatTemplate | None,
    *,
    reasoning_format: str = "auto",
    tool_format: str = "auto",
) -> Dialect:
    """Return the dialect of a model by its template and its special tokens, or by the formats' names.

    What was found is logged. Raises LoadFailed for a name that is none. Harmony has calls of its own, whatever their
    form is called.
    """
    source = template.source if template else ""
    tools, support = _tools_of(tool_format, template, vocabulary)
    if reasoning_format == "harmony" or (reasoning_format == "auto" and is_harmony(source)):
        _tell("harmony", "harmony", support)
        return HarmonyDialect(vocabulary, template)
    reasoning = reasoning_format_of(reasoning_format, source, vocabulary)
    _tell(reasoning.name if reasoning else "none", tools.name if tools else "none", support)
    return TaggedDialect(vocabulary, template, reasoning, tools, Wording(tools or HERMES, support))


def _tell(thoughts: str, calls: str, support: Support) -> None:
    shown = "by the chat template" if support.tools else "in words, as the chat template has no place for them"
    told = "" if calls == "none" else f"; tools are shown {shown}"
    _log.info("reasoning_format is %s, tool_format is %s%s", thoughts, calls, told)


def _tools_of(name: str, template: ChatTemplate | None, vocabulary: Vocabulary) -> tuple[ToolFormat | None, Support]:
    """Return the format of a name, for ``auto`` the one that a template shows, and what the template knows of tools."""
    if name == "auto":
        return detect(template, vocabulary)
    if name not in ("none", *FORMATS):
        raise LoadFailed(f"tool_format {name!r} is none of auto, none, {', '.join(FORMATS)}")
    return FORMATS.get(name), support_of(template)
