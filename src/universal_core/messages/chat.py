"""Conversations: the request of the ``chat`` task, and the events beyond plain text."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from universal_core.messages.generation import GenerationRequest
from universal_core.messages.message import Event, Message

Role = Literal["system", "developer", "user", "assistant", "tool"]


class TextPart(Message, frozen=True, kw_only=True, tag="text"):
    """Words."""

    text: str


class ImagePart(Message, frozen=True, kw_only=True, tag="image"):
    """A picture as the bytes of its file, of whatever format; ``detail`` is low, high or auto."""

    data: bytes
    detail: Literal["low", "high", "auto"] = "auto"


class AudioPart(Message, frozen=True, kw_only=True, tag="audio"):
    """A recording as the bytes of its file; ``format`` is what the client calls it, such as wav or mp3."""

    data: bytes
    format: str


Part = TextPart | ImagePart | AudioPart


class ToolInvocation(Message, frozen=True, kw_only=True):
    """A call that an assistant turn made: a function's name and its arguments as JSON text."""

    id: str
    name: str
    arguments: str


class ChatMessage(Message, frozen=True, kw_only=True):
    """One turn of a conversation."""

    role: Role
    content: tuple[Part, ...] = ()
    name: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[ToolInvocation, ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """All text parts joined."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


class Tool(Message, frozen=True, kw_only=True):
    """A function that the model may call; ``parameters`` is its JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool = False


class ChatRequest(GenerationRequest, frozen=True, kw_only=True):
    """Continue a conversation.

    ``tool_choice`` says whether the model may call ``tools`` (auto), must (required) or must not (none), and
    ``allowed_tools`` which of them by name, where not all. ``thinking_budget`` is how many tokens the model may think.
    ``truncation`` auto drops the oldest turns of a conversation that is too long.
    """

    basic: ClassVar[frozenset[str]] = frozenset({"messages", "max_tokens", "max_tokens_is_ceiling"})

    messages: tuple[ChatMessage, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: Literal["none", "auto", "required"] = "auto"
    allowed_tools: tuple[str, ...] = ()
    parallel_tool_calls: bool = True
    reasoning_effort: str | None = None
    thinking_budget: int | None = None
    truncation: Literal["auto"] | None = None
    chat_template_kwargs: dict[str, Any] = {}

    def features(self) -> dict[str, str]:
        """Add what the turns themselves ask for: images, audio, and tool calls made earlier."""
        own = super().features()
        return own | features_of(self.messages) | own


CHAT_FIELDS = (
    *("messages", "n_ctx", "chat_template_kwargs", "response_format", "truncation"),
    *("tools", "tool_choice", "allowed_tools", "parallel_tool_calls"),
    *("reasoning_effort", "thinking_budget"),
)
"""The fields of conversations that every LanguageModel honours, ready for ``Claim.fields``."""


def features_of(messages: Sequence[ChatMessage]) -> dict[str, str]:
    """Return what turns ask of a model beyond text, each with the first place that asks for it."""
    found: dict[str, str] = {}
    for position, message in enumerate(messages):
        if message.tool_calls:
            found.setdefault("tools", f"messages[{position}].tool_calls")
        if message.role == "tool":
            found.setdefault("tools", f"messages[{position}].role")
        for place, part in enumerate(message.content):
            if isinstance(part, ImagePart):
                found.setdefault("images", f"messages[{position}].content[{place}].image_url")
            elif isinstance(part, AudioPart):
                found.setdefault("audio", f"messages[{position}].content[{place}].input_audio")
    return found


class Reasoning(Event, frozen=True, kw_only=True):
    """Thinking to append to answer ``index``, which is not part of the answer itself."""

    text: str
    index: int = 0


class Truncated(Event, frozen=True, kw_only=True):
    """So many of the oldest messages were left out, for lack of room."""

    messages: int


class ToolCall(Event, frozen=True, kw_only=True):
    """A piece of call number ``position`` of answer ``index``: first its id and name, then its arguments in parts."""

    position: int
    index: int = 0
    id: str | None = None
    name: str | None = None
    arguments: str = ""
