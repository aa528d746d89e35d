"""Conversations with pictures and recordings, in one line."""

from collections.abc import Sequence
from typing import Any

from universal_core import AudioPart, ChatMessage, ChatRequest, ImagePart, TextPart

Content = str | ImagePart | AudioPart


def see(*content: Content, max_tokens: int = 12, **fields: Any) -> ChatRequest:
    """Return a request of one turn that is answered with the best token always, unless the fields say otherwise."""
    return converse(content, max_tokens=max_tokens, **fields)


def converse(*turns: Sequence[Content], **fields: Any) -> ChatRequest:
    """Return a request whose turns are the user's and the assistant's by turns."""
    roles: Any = ("user", "assistant")
    messages = tuple(
        ChatMessage(
            role=roles[place % 2],
            content=tuple(TextPart(text=one) if isinstance(one, str) else one for one in content),
        )
        for place, content in enumerate(turns)
    )
    return ChatRequest(messages=messages, **{"temperature": 0.0, "max_tokens": 12, **fields})
