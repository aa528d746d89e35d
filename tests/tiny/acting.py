"""A tiny model that thinks, calls a tool, and then says what it learned: what agents need for a whole loop."""

from pathlib import Path

from tiny.causal import make_scripted
from tiny.templates import QWEN

THOUGHT = "The weather of Paris."
ARGUMENTS = {"city": "Paris"}
ANSWER = "It is 18 degrees in Paris."

_CALL = '\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n'
_ASKED = ("<think>\n", THOUGHT, "\n</think>\n\n", "<tool_call>", _CALL, "</tool_call>")
_TOLD, _TELLS = "<told>", ("It is 18", " degrees", " in Paris.")
_OPENED = "{{- '<|im_start|>assistant\\n' }}\n    {%- if enable_thinking"
_AFTER_A_TOOL = "{%- if messages[-1].role == 'tool' %}{{- '" + _TOLD + "' }}{% endif %}"


def make_acting(path: Path) -> Path:
    """Write a model that calls ``get_weather`` whatever it is asked, and says ANSWER after a turn of a tool."""
    opened, rest = _OPENED.split("\n", maxsplit=1)
    template = QWEN.replace(_OPENED, f"{opened}\n    {_AFTER_A_TOOL}\n{rest}")
    return make_scripted(path, _ASKED, chat_template=template, others={_TOLD: _TELLS})
