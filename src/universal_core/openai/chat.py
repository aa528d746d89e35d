"""POST /v1/chat/completions."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from universal_core.errors import BadRequest, UnsupportedField
from universal_core.hookspecs import hookimpl
from universal_core.http import EventStream, answer, collect, frames, open_call, read_json, runtime_of
from universal_core.messages import ChatRequest, ResponseFormat, Tool
from universal_core.openai.chat_answers import ChatChunks, ChatCompletion
from universal_core.openai.generation import GenerationBody, Stamp
from universal_core.openai.turns import NO_MEDIA, Media, Turn, messages_of, with_media
from universal_core.runtime import Runtime


class FunctionTool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A function's name, what it is for, and the JSON schema of its parameters."""

    name: Annotated[str, Meta(pattern=r"^[\w.-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool; only functions can be called."""

    function: FunctionTool
    type: Literal["function"] = "function"

    def to_tool(self) -> Tool:
        """Return the domain's tool."""
        function = self.function
        return Tool(
            name=function.name,
            description=function.description,
            parameters=function.parameters,
            strict=bool(function.strict),
        )


class NamedFunction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The function that must be called."""

    name: str


class NamedTool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``tool_choice`` that names a function."""

    function: NamedFunction
    type: Literal["function"] = "function"


class JsonSchema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema that an answer must follow."""

    name: str
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormatBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``response_format``."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    def to_format(self) -> ResponseFormat | None:
        """Return the domain's form, None for plain text."""
        if self.type == "json_object":
            return ResponseFormat(type="json_object")
        if self.type == "text":
            return None
        if self.json_schema is None:
            raise BadRequest(
                "response_format.json_schema is required for type json_schema", param="response_format.json_schema"
            )
        schema = self.json_schema
        return ResponseFormat(type="json_schema", name=schema.name, schema=schema.schema, strict=bool(schema.strict))


class ChatBody(GenerationBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body."""

    messages: Annotated[list[Turn], Meta(min_length=1)]
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    response_format: ResponseFormatBody | None = None
    tools: list[ToolBody] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    # Only hints about speed.
    prediction: dict[str, Any] | None = None
    # OpenAI's own services; no model behind this server can honour them, so they are refused by name.
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
        if self.tools:
            given |= self._tools(self.tools)
        elif self.tool_choice not in (None, "none", "auto"):
            raise BadRequest("tool_choice: there are no tools to choose from; send tools", param="tool_choice")
        form = self.response_format.to_format() if self.response_format else None
        if form is not None and self.grammar is not None:
            raise BadRequest(
                "grammar and response_format both say what form the answer has; send one of them", param="grammar"
            )
        return ChatRequest(
            messages=messages_of(self.messages, media),
            response_format=form,
            reasoning_effort=self.reasoning_effort,
            chat_template_kwargs=self.chat_template_kwargs or {},
            **given,
        )

    def _tools(self, tools: list[ToolBody]) -> dict[str, Any]:
        names = [tool.function.name for tool in tools]
        choice = self.tool_choice.function.name if isinstance(self.tool_choice, NamedTool) else self.tool_choice
        if isinstance(self.tool_choice, NamedTool) and choice not in names:
            raise BadRequest(
                f"tool_choice: there is no tool {choice}; known are {', '.join(names)}", param="tool_choice"
            )
        return {
            "tools": tuple(tool.to_tool() for tool in tools),
            "tool_choice": choice,
            "parallel_tool_calls": self.parallel_tool_calls is not False,
        }

    def _refuse(self) -> None:
        for name in ("audio", "verbosity", "moderation", "web_search_options", "functions", "function_call"):
            if getattr(self, name) is not None:
                instead = "use tools instead" if name.startswith("function") else "leave it out"
                raise UnsupportedField(f"{name}: not supported by this server; {instead}", param=name)
        if self.modalities not in (None, ["text"]):
            raise UnsupportedField("modalities: only text is supported; leave it out", param="modalities")
        if self.max_tokens and self.max_completion_tokens and self.max_tokens != self.max_completion_tokens:
            raise BadRequest(
                "max_tokens and max_completion_tokens differ; send one of them", param="max_completion_tokens"
            )


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
