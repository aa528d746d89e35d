"""The blocks of content that a request may have, as Anthropic writes them."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta


class Wire(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the request body."""


class CacheableBlock(Wire, frozen=True, kw_only=True):
    """A block that may end what Anthropic's cache keeps; here whatever was read before is kept anyway."""

    cache_control: dict[str, Any] | None = None


class TextBlock(CacheableBlock, frozen=True, kw_only=True, tag="text", tag_field="type"):
    """Words; what an earlier answer cited beside them is no part of the conversation."""

    text: str
    citations: list[Any] | None = None
    # Anthropic's own client has it in answers, and sends it back with them.
    parsed_output: Any = None


class Base64Source(Wire, frozen=True, kw_only=True, tag="base64", tag_field="type"):
    """A picture that the request brings."""

    data: str
    media_type: str

    @property
    def url(self) -> str:
        """The picture as a data URL."""
        return f"data:{self.media_type};base64,{self.data}"


class UrlSource(Wire, frozen=True, kw_only=True, tag="url", tag_field="type"):
    """A picture that is elsewhere."""

    url: str


class Transformations(Wire, frozen=True, kw_only=True):
    """What is done to a picture before a model sees it: models here make large ones smaller."""

    oversized_image: Literal["downsize"] | None = None


class ImageBlock(CacheableBlock, frozen=True, kw_only=True, tag="image", tag_field="type"):
    """A picture."""

    source: Base64Source | UrlSource
    transformations: Transformations | None = None


class NoCitations(Wire, frozen=True, kw_only=True):
    """No model here marks what it cites."""

    enabled: Literal[False] | None = None


class TextSource(Wire, frozen=True, kw_only=True, tag="text", tag_field="type"):
    """A document that is plain text."""

    data: str
    media_type: Literal["text/plain"] = "text/plain"


class ContentSource(Wire, frozen=True, kw_only=True, tag="content", tag_field="type"):
    """A document that is blocks of its own."""

    content: str | list[TextBlock | ImageBlock]


class DocumentBlock(CacheableBlock, frozen=True, kw_only=True, tag="document", tag_field="type"):
    """A document, with what it is called and what else is to be known of it."""

    source: TextSource | ContentSource
    title: str | None = None
    context: str | None = None
    citations: NoCitations | None = None


class SearchResultBlock(CacheableBlock, frozen=True, kw_only=True, tag="search_result", tag_field="type"):
    """What a search has found."""

    content: list[TextBlock]
    source: str
    title: str
    citations: NoCitations | None = None


class ThinkingBlock(Wire, frozen=True, kw_only=True, tag="thinking", tag_field="type"):
    """What a model thought in an earlier turn; any signature will do."""

    thinking: str
    signature: str | None = None


class RedactedThinkingBlock(Wire, frozen=True, kw_only=True, tag="redacted_thinking", tag_field="type"):
    """Thoughts that only Anthropic's models can read."""

    data: str


class DirectCaller(Wire, frozen=True, kw_only=True):
    """Who makes a call: the model itself."""

    type: Literal["direct"] = "direct"


class ToolUseBlock(CacheableBlock, frozen=True, kw_only=True, tag="tool_use", tag_field="type"):
    """A call that an earlier turn made."""

    id: str
    name: str
    input: dict[str, Any]
    caller: DirectCaller | None = None
    toolset_name: None = None


ResultBlock = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock


class ToolResultBlock(CacheableBlock, frozen=True, kw_only=True, tag="tool_result", tag_field="type"):
    """What a call led to."""

    tool_use_id: str
    content: str | list[ResultBlock] | None = None
    is_error: bool | None = None
    toolset_name: None = None


UserBlock = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolResultBlock
AssistantBlock = TextBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock


class UserTurn(Wire, frozen=True, kw_only=True, tag="user", tag_field="role"):
    """What the user says, with the results of the calls made before."""

    content: str | Annotated[list[UserBlock], Meta(min_length=1)]


class AssistantTurn(Wire, frozen=True, kw_only=True, tag="assistant", tag_field="role"):
    """What the assistant said; as the last turn it is continued."""

    content: str | list[AssistantBlock]


class SystemTurn(Wire, frozen=True, kw_only=True, tag="system", tag_field="role"):
    """Instructions that come later in a conversation."""

    content: str | Annotated[list[TextBlock], Meta(min_length=1)]


Turn = UserTurn | AssistantTurn | SystemTurn
