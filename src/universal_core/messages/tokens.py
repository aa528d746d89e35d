"""The requests and results of the ``tokenize`` and ``detokenize`` tasks."""

from typing import Any, ClassVar, Literal

from universal_core.messages.chat import ChatMessage, ChatRequest, Tool, features_of
from universal_core.messages.message import Request, Result


class TokenizeRequest(Request, frozen=True, kw_only=True):
    """Turn a text, or a conversation as ``chat`` would read it, into the model's tokens.

    ``add_special`` adds to a text what the tokenizer puts around texts; it says nothing about conversations, whose
    template decides. ``pieces`` asks for the text of each token.
    """

    basic: ClassVar[frozenset[str]] = frozenset({"text", "add_special", "pieces"})

    text: str | None = None
    messages: tuple[ChatMessage, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: Literal["none", "auto", "required"] = "auto"
    parallel_tool_calls: bool = True
    reasoning_effort: str | None = None
    thinking_budget: int | None = None
    chat_template_kwargs: dict[str, Any] = {}
    add_special: bool = True
    pieces: bool = False

    @property
    def chat(self) -> ChatRequest:
        """The chat whose prompt is asked for."""
        return ChatRequest(
            messages=self.messages,
            tools=self.tools,
            tool_choice=self.tool_choice,
            parallel_tool_calls=self.parallel_tool_calls,
            reasoning_effort=self.reasoning_effort,
            thinking_budget=self.thinking_budget,
            chat_template_kwargs=self.chat_template_kwargs,
        )

    def features(self) -> dict[str, str]:
        """Add what the turns themselves ask for, as a chat does."""
        own = super().features()
        return own | features_of(self.messages) | own


class TokenizeResult(Result, frozen=True, kw_only=True):
    """The tokens in order, and where asked for the text of each, with U+FFFD for a part of a character."""

    tokens: tuple[int, ...]
    pieces: tuple[str, ...] = ()


class DetokenizeRequest(Request, frozen=True, kw_only=True):
    """Turn tokens into text."""

    basic: ClassVar[frozenset[str]] = frozenset({"tokens"})

    tokens: tuple[int, ...]


class DetokenizeResult(Result, frozen=True, kw_only=True):
    """The text of the tokens, special ones included."""

    text: str
