"""Which format a model writes its calls in, as its chat template shows it."""

from collections.abc import Iterable

from universal_core.conversation.template import ChatTemplate
from universal_core.conversation.tools.families import FORMATS, HERMES
from universal_core.conversation.tools.format import ToolFormat
from universal_core.conversation.tools.support import Support, support_of
from universal_core.conversation.vocabulary import Vocabulary

# Each line: the texts of which all stand in such a template, and the format. The first line that fits counts.
_SIGNS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("<start_function_call>",), "function-gemma"),
    (("<|tool_call>", "<tool_call|>"), "gemma-4"),
    (("<｜tool▁call▁begin｜>", "```json"), "deepseek-v3"),
    (("<｜tool▁calls▁begin｜>",), "deepseek-v3.1"),
    (("<|tool_calls_section_begin|>",), "kimi"),
    (("<minimax:tool_call>",), "minimax"),
    (("<seed:tool_call>",), "seed"),
    (("[TOOL_CALLS]", "[ARGS]"), "mistral-v11"),
    (("[TOOL_CALLS]",), "mistral"),
    (("<function=", "<parameter="), "qwen-xml"),
    (("<arg_key>",), "glm"),
    (("<|tool_call_start|>",), "lfm2"),
    (("<|tool_call|>", "<|tool|>"), "phi-4"),
    (("<|/tool_call|>",), "phi-4"),
    (("functools[",), "phi-4"),
    (("<|tool_call|>",), "granite"),
    (("<TOOLCALL>",), "nemotron"),
    (("<tool_calls>", "</tool_calls>"), "jamba"),
    (("<tool_call>", "</tool_call>"), "hermes"),
    (("<tool_call>",), "granite"),
    (("<function_call>",), "granite"),
    (("<|python_start|>",), "pythonic"),
    (("func_name1(",), "pythonic"),
    (("tool_code",), "gemma"),
    (("<|python_tag|>",), "llama"),
    (('"parameters":', "<|start_header_id|>"), "llama"),
    (("ipython",), "llama"),
)


def detect(template: ChatTemplate | None, vocabulary: Vocabulary) -> tuple[ToolFormat, Support]:
    """Return the format of a model's calls, and what its chat template knows of them.

    A template that shows tools, but no form that is known, is taken to mean bare JSON objects. One that shows none, and
    no sign of a form, knows nothing of tools: these are put into words, in the form of Hermes.
    """
    support, found = support_of(template), signed_format(template.source if template else "", vocabulary)
    if found is not None:
        return found, support
    return (FORMATS["json"], support) if support.tools else (HERMES, Support(system=support.system))


def signed_format(source: str, vocabulary: Vocabulary) -> ToolFormat | None:
    """Return the format that the text of a template shows, None where it shows none."""
    found = next((name for texts, name in _SIGNS if _all_in(source, texts)), None)
    if found == "mistral" and vocabulary.named("[ARGS]") is not None:
        found = "mistral-v11"
    return FORMATS[found] if found else None


def _all_in(source: str, texts: Iterable[str]) -> bool:
    return all(text in source for text in texts)
