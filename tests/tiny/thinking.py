"""Scripts of models that think, and requests to them with what must come, the same from every backend."""

from dataclasses import dataclass
from typing import Any

from tiny.answers import Answers, chat_request
from tiny.templates import QWEN
from universal_core import ChatRequest, ResponseFormat

_WORDS = "{% for m in messages %}{{ m.content }}{% endfor %}"
_OPENED = _WORDS + "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
# A script begins behind a line break, and knows each of its tokens once.
_HARMONY = _WORDS + "<|start|>assistant<|channel|>analysis<|message|>{{ '\\n' }}"
_GRANITE = (
    _WORDS + "{% if thinking %}Write 'Here is my thought process:' first.{% endif %}{{ '<|im_start|>assistant\n' }}"
)

THOUGHT, ANSWER = "Let me see.", "It is so."


@dataclass(frozen=True)
class Script:
    """A model's template and the pieces that it writes, of which ``counted`` belong to its thought."""

    template: str
    pieces: tuple[str, ...]
    counted: int


SCRIPTS = {
    "qwen": Script(QWEN, ("<think>", "\nLet", " me", " see.\n", "</think>", "\n\n", "It is", " so."), 5),
    "opened": Script(_OPENED, ("Let", " me", " see.", "\n</th", "ink>\n\n", "It is", " so."), 5),
    "harmony": Script(
        _HARMONY,
        (
            *("Let", " me", " see.", "<|end|>", "<|start|>", "assistant", "<|channel|>", "final", "<|message|>"),
            # llama.cpp takes <|end|> for the end of a turn where a vocabulary has not all three.
            *("It is", " so.", "<|return|>", "<|call|>"),
        ),
        4,
    ),
    "granite": Script(
        _GRANITE,
        ("Here is my", " thought process:", "\nLet", " me see.", "\n\nHere is", " my response:", "\n\nIt is", " so."),
        6,
    ),
}
SWITCHED = ("qwen", "opened", "harmony")
"""The models that think unless they are told not to."""

REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "drawn": {"temperature": 1.0, "seed": 3},
    "stopped": {"stop": (" me", "never")},
    "formed": {"response_format": ResponseFormat(type="regex", text=r"It is so\.")},
    "long enough": {"thinking_budget": 100},
    "high": {"reasoning_effort": "high"},
}
"""Requests that leave a script as it is."""


def asked(**fields: Any) -> ChatRequest:
    """Return a question to a model that thinks."""
    return chat_request("Is it so?", **{"temperature": 0.0, "max_tokens": 100, **fields})


def told(answers: Answers) -> tuple[str, str, str | None, int]:
    """Return thought, text, reason and the tokens of thoughts."""
    return answers.reasoning, answers.text, answers.reason, answers.usage.reasoning_tokens


def whole(script: Script) -> tuple[str, str, str, int]:
    """Return what ``told`` says of a script that nothing has changed."""
    return THOUGHT, ANSWER, "stop", script.counted
