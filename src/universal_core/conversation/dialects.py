"""Which dialect a model speaks, told by its chat template and its vocabulary."""

from universal_core.conversation.dialect import Dialect, TaggedDialect
from universal_core.conversation.harmony import HarmonyDialect, is_harmony
from universal_core.conversation.reasoning import reasoning_format_of
from universal_core.conversation.template import ChatTemplate
from universal_core.conversation.tools import FORMATS, HERMES, Support, ToolFormat, Wording, detect, support_of
from universal_core.conversation.vocabulary import Vocabulary
from universal_core.errors import LoadFailed


def dialect_of(
    vocabulary: Vocabulary,
    template: ChatTemplate | None,
    *,
    reasoning_format: str = "auto",
    tool_format: str = "auto",
) -> Dialect:
    """Return the dialect of a model by its template and its special tokens, or by the formats' names.

    Raises LoadFailed for a name that is none. Harmony has calls of its own, whatever their form is called.
    """
    source = template.source if template else ""
    tools, support = _tools_of(tool_format, template, vocabulary)
    if reasoning_format == "harmony" or (reasoning_format == "auto" and is_harmony(source)):
        return HarmonyDialect(vocabulary, template)
    reasoning = reasoning_format_of(reasoning_format, source, vocabulary)
    return TaggedDialect(vocabulary, template, reasoning, tools, Wording(tools or HERMES, support))


def _tools_of(
    name: str, template: ChatTemplate | None, vocabulary: Vocabulary
) -> tuple[ToolFormat | None, Support]:
    """Return the format of a name, for ``auto`` the one that a template shows, and what the template knows of tools."""
    if name == "auto":
        return detect(template, vocabulary)
    if name not in ("none", *FORMATS):
        raise LoadFailed(f"tool_format {name!r} is none of auto, none, {', '.join(FORMATS)}")
    return FORMATS.get(name), support_of(template)
