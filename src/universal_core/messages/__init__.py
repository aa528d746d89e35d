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
from universal_core.messages.speech import (
    AudioChunk,
    AudioFormat,
    ListVoicesRequest,
    ListVoicesResult,
    SpeakRequest,
    Spoken,
    Voice,
)

__all__ = [
    "SAMPLING_FIELDS",
    "AudioChunk",
    "AudioFormat",
    "AudioPart",
    "ChatMessage",
    "ChatRequest",
    "CompletionRequest",
    "EmbedRequest",
    "EmbedResult",
    "Event",
    "Finish",
    "FinishReason",
    "GenerationRequest",
    "ImagePart",
    "ListVoicesRequest",
    "ListVoicesResult",
    "Message",
    "Part",
    "Reasoning",
    "Request",
    "ResponseFormat",
    "Result",
    "Role",
    "SpeakRequest",
    "Spoken",
    "Text",
    "TextPart",
    "TokenAlternative",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolInvocation",
    "Usage",
    "Voice",
]
