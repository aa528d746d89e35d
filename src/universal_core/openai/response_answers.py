"""The response object of /v1/responses."""

import time
from typing import Any, Literal

import msgspec

from universal_core.errors import UniversalError
from universal_core.messages import Usage
from universal_core.openai.response_bodies import ReasoningBody, ResponsesBody, TextFormat
from universal_core.openai.response_items import FunctionCallItem, MessageItem, ReasoningItem, minted

OutputItem = MessageItem | ReasoningItem | FunctionCallItem


class InputDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What the tokens read were; writing to a cache is not counted."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What the tokens written were."""

    reasoning_tokens: int = 0


class ResponseUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens read and written."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int

    @classmethod
    def of(cls, usage: Usage) -> "ResponseUsage":
        """Return what a model counted."""
        return cls(
            input_tokens=usage.prompt_tokens,
            input_tokens_details=InputDetails(cached_tokens=usage.cached_tokens),
            output_tokens=usage.completion_tokens,
            output_tokens_details=OutputDetails(reasoning_tokens=usage.reasoning_tokens),
            total_tokens=usage.total_tokens,
        )


class ResponseError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a response failed: ``code`` is one of the few that OpenAI has here, ``type`` the one of every endpoint."""

    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str
    param: str | None
    type: str

    @classmethod
    def of(cls, error: UniversalError) -> "ResponseError":
        """Return what an error says."""
        code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"] = "server_error"
        if error.status < 500:
            code = "rate_limit_exceeded" if error.status == 429 else "invalid_prompt"
        return cls(code=code, message=error.message, param=error.param, type=error.code or error.type)


class IncompleteDetails(msgspec.Struct, frozen=True):
    """Why a response ends too early."""

    reason: Literal["max_output_tokens", "content_filter"]


class ShownFormat(msgspec.Struct, frozen=True, kw_only=True):
    """``text`` as the response repeats it."""

    format: TextFormat
    verbosity: str = "medium"


class ShownReasoning(msgspec.Struct, frozen=True, kw_only=True):
    """``reasoning`` as the response repeats it."""

    effort: str | None
    summary: str | None


class ResponseBody(msgspec.Struct, kw_only=True):
    """The response: what was asked for, and as much of the answer as there is.

    ``dropped_messages`` tells how many of the oldest turns were left out for lack of room.
    """

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Literal["in_progress", "completed", "incomplete", "failed"] = "in_progress"
    background: bool = False
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    model: str
    output: list[OutputItem] = []
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: ShownReasoning
    safety_identifier: str | None
    service_tier: str = "default"
    store: bool
    temperature: float | None
    text: ShownFormat
    tool_choice: Any
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float | None
    truncation: Literal["auto", "disabled"]
    usage: ResponseUsage | None = None
    user: str | None
    metadata: dict[str, Any]
    dropped_messages: int | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def begin(cls, body: ResponsesBody, model: str, *, store: bool) -> "ResponseBody":
        """Return the response to a request of which nothing is written yet."""
        reasoning = body.reasoning or ReasoningBody()
        return cls(
            id=minted("resp"),
            created_at=int(time.time()),
            model=model,
            store=store,
            parallel_tool_calls=body.parallel_tool_calls is not False,
            reasoning=ShownReasoning(effort=reasoning.effort, summary=reasoning.summary or reasoning.generate_summary),
            text=ShownFormat(format=(body.text and body.text.format) or TextFormat(type="text")),
            tool_choice=body.tool_choice or "auto",
            tools=[tool.shown() for tool in body.functions()],
            top_logprobs=body.top_logprobs or 0,
            truncation=body.truncation or "disabled",
            metadata=body.metadata or {},
            **{name: getattr(body, name) for name in _REPEATED},
        )

    def finish(self, reason: str) -> None:
        """Say that the answer is whole, or why it is not."""
        if reason in ("length", "content_filter"):
            self.status = "incomplete"
            self.incomplete_details = IncompleteDetails("max_output_tokens" if reason == "length" else "content_filter")
        else:
            self.status = "completed"
            self.completed_at = int(time.time())

    def fail(self, error: UniversalError) -> None:
        """Say that no more will come, and why."""
        self.status = "failed"
        self.completed_at = self.incomplete_details = None
        self.error = ResponseError.of(error)


_REPEATED = (
    *("instructions", "max_output_tokens", "max_tool_calls", "previous_response_id", "prompt_cache_key"),
    *("safety_identifier", "temperature", "top_p", "user"),
)
