"""From a request to the tokens that the model reads."""

import inspect
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from universal_core import BadRequest, ChatMessage, ChatRequest
from universal_core.conversation import render_plain
from universal_text.causal.vocabulary import Vocabulary

# What a template may be told by a request; everything else that apply_chat_template takes is decided here.
_FREE = {"documents", "add_generation_prompt", "continue_final_message", "kwargs"}
_RESERVED = {"messages", *inspect.signature(PreTrainedTokenizerBase.apply_chat_template).parameters} - _FREE


class Prompter:
    """Writes prompts in the form that the model was trained on: its chat template, or else the plain format."""

    def __init__(self, tokenizer: Any, vocabulary: Vocabulary) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary

    @property
    def has_template(self) -> bool:
        """Whether the model brings a chat template."""
        return bool(self._tokenizer.chat_template)

    def read_chat(self, request: ChatRequest) -> list[int]:
        """Return the tokens of a conversation that ends where the answer begins."""
        if self.has_template:
            return self._vocabulary.encode(self._render(request), special=False)
        return self._vocabulary.encode(render_plain(request.messages), special=True)

    def read_text(self, prompt: str | tuple[int, ...]) -> list[int]:
        """Return the tokens of a text, or the given ones after a check."""
        if isinstance(prompt, str):
            return self._vocabulary.encode(prompt, special=True)
        size = self._vocabulary.size
        wrong = next((token for token in prompt if not 0 <= token < size), None)
        if wrong is not None:
            raise BadRequest(f"token {wrong} is not one of the model's {size} tokens", param="prompt")
        return list(prompt)

    def _render(self, request: ChatRequest) -> str:
        arguments = request.chat_template_kwargs
        if taken := sorted(_RESERVED & arguments.keys()):
            raise BadRequest(f"chat_template_kwargs may not set {', '.join(taken)}", param="chat_template_kwargs")
        turns = [turn_of(message) for message in request.messages]
        arguments = {"add_generation_prompt": not arguments.get("continue_final_message")} | arguments
        try:
            return str(self._tokenizer.apply_chat_template(turns, tokenize=False, **arguments))
        except (TemplateError, TypeError, ValueError) as error:
            # Templates refuse conversations in this way: roles that do not alternate, a system turn, ...
            raise BadRequest(f"the model's chat template refuses these messages: {error}", param="messages") from error


def turn_of(message: ChatMessage) -> dict[str, Any]:
    """Return a message as chat templates know it, its parts joined to one text."""
    turn: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.name is not None:
        turn["name"] = message.name
    if message.reasoning is not None:
        turn["reasoning_content"] = message.reasoning
    return turn
