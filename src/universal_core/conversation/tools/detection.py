"""Which format a model writes its calls in, as its chat template shows it."""

from collections.abc import Iterable

from universal_core.conversation.tools.families import FORMATS
from universal_core.conversation.tools.format import ToolFormat
from universal_core.conversation.vocabulary import Vocabulary

# Each line: the texts of which all stand in such a template, and the format. The first line that fits counts.
_SIGNS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("<start_function_call>",), "function-gemma"),
    (("<|tool_call>", "<tool_call|>"), "gemma-4"),
    (("<｜tool▁calls▁begin｜>", "```json"), "deepseek-v3"),
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


def format_of(template: str, vocabulary: Vocabulary | None = None) -> ToolFormat:
    """Return the format of a model whose chat template shows tools; bare JSON where nothing tells another."""
    found = next((name for texts, name in _SIGNS if _all_in(template, texts)), "json")
    if found == "mistral" and vocabulary is not None and vocabulary.named("[ARGS]") is not None:
        found = "mistral-v11"
    return FORMATS[found if found in FORMATS else "hermes"]


def _all_in(template: str, texts: Iterable[str]) -> bool:
    return all(text in template for text in texts)
