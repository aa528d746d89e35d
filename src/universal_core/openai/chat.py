"""POST /v1/chat/completions."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.errors import BadRequest, UnsupportedField
from universal_core.hookspecs import hookimpl
from universal_core.http import EventStream, answer, collect, frames, open_call, read_json, reads, runtime_of
from universal_core.messages import ChatRequest
from universal_core.openai.chat_answers import ChatChunks, ChatCompletion
from universal_core.openai.forms import ResponseFormatBody
from universal_core.openai.generation import GenerationBody, Stamp
from universal_core.openai.tools import ToolBody, ToolChoice, choice_of, tools_of
from universal_core.openai.turns import NO_MEDIA, Media, Turn, messages_of, template_arguments, with_media
from universal_core.runtime import Runtime

_REFUSED = {
    "audio": "leave it out",
    "moderation": "leave it out",
    "web_search_options": "leave it out; a search of your own can be one of tools",
    "functions": 'send them as tools instead, each as {"type": "function", "function": ...}',
    "function_call": "send tool_choice instead",
}
"""What no model behind this server can honour, and what to do instead."""


class ChatBody(GenerationBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body."""

    messages: Annotated[list[Turn], Meta(min_length=1)]
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_format: ResponseFormatBody | None = None
    tools: list[ToolBody] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    thinking_budget: Annotated[int, Meta(ge=0)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    # Only hints about speed.
    prediction: dict[str, Any] | None = None
    # OpenAI's own services, and what tools have replaced there: refused by name, but for what is usual.
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    moderation: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    functions: list[Any] | None = None
    function_call: Any = None

    def to_request(self, media: Media = NO_MEDIA) -> ChatRequest:
        """Return the domain's request; pictures and recordings that ``media`` lacks are empty.

        Raises BadRequest, UnsupportedField.
        """
        self._refuse()
        given = self.sampling()
        if self.max_completion_tokens is not None:
            given["max_tokens"] = self.max_completion_tokens
        if self.logprobs:
            given["logprobs"] = self.top_logprobs or 0
        elif self.top_logprobs:
            raise BadRequest(
                "top_logprobs: only allowed with logprobs true; set it or remove top_logprobs", param="top_logprobs"
            )
        given |= choice_of(self.tool_choice, tools_of(self.tools))
        return ChatRequest(
            messages=messages_of(self.messages, media),
            response_format=self.form(self.response_format.to_format() if self.response_format else None),
            # Without tools it says nothing.
            parallel_tool_calls=not self.tools or self.parallel_tool_calls is not False,
            reasoning_effort=self.reasoning_effort,
            thinking_budget=self.thinking_budget,
            truncation="auto" if self.truncation == "auto" else None,
            chat_template_kwargs=template_arguments(self),
            **given,
        )

    def _refuse(self) -> None:
        for name, instead in _REFUSED.items():
            if getattr(self, name) is not None:
                raise UnsupportedField(f"{name}: not supported by this server; {instead}", param=name)
        if self.modalities not in (None, ["text"]):
            raise UnsupportedField("modalities: only text is supported; leave it out", param="modalities")
        if self.verbosity not in (None, "medium"):
            raise UnsupportedField(
                "verbosity: only medium is supported; leave it out, and say in a message how long answers should be",
                param="verbosity",
            )
        if self.max_tokens and self.max_completion_tokens and self.max_tokens != self.max_completion_tokens:
            raise BadRequest(
                "max_tokens and max_completion_tokens differ; send one of them", param="max_completion_tokens"
            )


@reads(ChatBody)
async def create(request: Request) -> Response:
    """Answer a conversation, whole or as a stream."""
    body = await read_json(request, ChatBody)
    complete = with_media(body.messages, body.to_request, runtime_of(request).config.media)
    call = await open_call(request, body.model, "chat", body.to_request(), complete)
    stamp = Stamp.new("chatcmpl", call.plan.name)
    if body.stream:
        chunks = ChatChunks(stamp, body.n or 1, usage=body.wants_usage, logprobs=bool(body.logprobs))
        keepalive = runtime_of(request).config.server.keepalive
        return EventStream(request, chunks.around(frames(call, chunks.write, keepalive)), call.timings)
    (events,) = await collect(request, [call])
    return answer(ChatCompletion.of(stamp, events, body.n or 1, logprobs=bool(body.logprobs)), [call])


@hookimpl
def register_routes(runtime: Runtime) -> Iterable[BaseRoute]:
    """Add the endpoint."""
    return [Route("/v1/chat/completions", create, methods=["POST"])]
