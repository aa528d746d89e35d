"""Scripts of models that think, what their turns are when taken apart, and requests to them with what must come."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tiny.answers import Answers, chat_request
from tiny.templates import DEEPSEEK, HARMONY, QWEN
from universal_core import ChatRequest, ResponseFormat, Tool

# The script of a model goes on only where the same piece came before; what it is made to write, it does not know.
ALWAYS = "{% for m in messages %}{{ m.content }}{% endfor %}<|im_start|>assistant\n"
HARMONY_MARKERS = ("<|start|>", "<|channel|>", "<|message|>", "<|end|>")
TOOLS = (Tool(name="look", parameters={"type": "object", "properties": {"at": {"type": "integer"}}}),)


@dataclass(frozen=True)
class Script:
    """A model's template, the pieces that it writes, and what they are."""

    template: str
    pieces: tuple[str, ...]
    reasoning: str
    text: str
    tokens: int
    """How many of the pieces belong to thoughts."""
    special: tuple[str, ...] = ()


SCRIPTS = {
    "qwen": Script(QWEN, ("<think>", "\nLet", " me", " see.\n", "</think>", "\n\n", "It is", " so."), "Let me see.", "It is so.", 5),
}
