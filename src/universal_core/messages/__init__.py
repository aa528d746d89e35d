"""Requests, events and results: what the HTTP process and a model say to each other."""

from universal_core.messages.chat import (
    AudioPart,
    ChatMessage,
    ChatRequest,
    ImagePart,
    Part,
    Reasoning,
    ResponseFormat,
    Role,
    TextPart,
    Tool,
    ToolCall,
    ToolInvocation,
)
from universal_core.messages.completion import CompletionRequest
from universal_core.messages.embedding import EmbedRequest, EmbedResult
from universal_core.messages.generation import (
    SAMPLING_FIELDS,
    Finish,
    FinishReason,
    GenerationRequest,
    Text,
    TokenAlternative,
    TokenLogprob,
)
from universal_core.messages.message import Event, Message, Request, Result, Usage
from universal_core.messages.rerank import RerankRequest, RerankResult
from universal_core.messages.tokens import DetokenizeRequest, DetokenizeResult, TokenizeRequest, TokenizeResult

__all__ = [
    "SAMPLING_FIELDS",
    "AudioPart",
    "ChatMessage",
    "ChatRequest",
    "CompletionRequest",
    "DetokenizeRequest",
    "DetokenizeResult",
    "EmbedRequest",
    "EmbedResult",
    "Event",
    "Finish",
    "FinishReason",
    "GenerationRequest",
    "ImagePart",
    "Message",
    "Part",
    "Reasoning",
    "Request",
    "RerankRequest",
    "RerankResult",
    "ResponseFormat",
    "Result",
    "Role",
    "Text",
    "TextPart",
    "TokenAlternative",
    "TokenLogprob",
    "TokenizeRequest",
    "TokenizeResult",
    "Tool",
    "ToolCall",
    "ToolInvocation",
    "Usage",
]
