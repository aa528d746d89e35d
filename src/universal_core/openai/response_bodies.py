"""The body of /v1/responses, and the tools, choices and forms that it writes in ways of its own."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from universal_core.errors import BadRequest, UnsupportedField
from universal_core.http import decode
from universal_core.messages import ChatMessage, ChatRequest, ResponseFormat, TokenizeRequest, Tool
from universal_core.openai.generation import Positive, SamplingBody
from universal_core.openai.response_items import Kind
from universal_core.openai.tools import (
    AllowedTools,
    FunctionTool,
    NamedFunction,
    NamedTool,
    NamedTools,
    ToolChoice,
    choice_of,
)

LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"
INCLUDES = (LOGPROBS, ENCRYPTED, "message.input_image.image_url")
"""What may be asked for in ``include``; the pictures of an input are always there."""

_OF_OPENAI = {
    "conversation": "keep the conversation by previous_response_id instead",
    "prompt": "send the prompt itself, as instructions and input",
    "background_options": "leave it out",
    "context_management": 'use truncation "auto" instead',
    **dict.fromkeys(("access_programs", "image", "moderation", "personality"), "leave it out"),
}


class _Wire(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of the request body."""


class FunctionToolItem(FunctionTool, frozen=True, kw_only=True, rename={"run_async": "async"}):
    """A function; ``strict`` is true unless given, as OpenAI has it here."""

    type: Literal["function"] = "function"
    defer_loading: Literal[False] | None = None
    allowed_callers: list[Literal["direct"]] | None = None
    output_schema: None = None
    run_async: Literal[False] | None = None

    def to_tool(self) -> Tool:
        """Return the domain's tool."""
        return Tool(
            name=self.name,
            description=self.description,
            parameters=self.parameters,
            strict=self.strict is not False,
        )

    def shown(self) -> dict[str, Any]:
        """Return the tool as the response repeats it."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
            "strict": self.strict is not False,
        }


class FunctionChoice(_Wire, frozen=True, kw_only=True, tag="function", tag_field="type"):
    """``tool_choice`` that names a function."""

    name: str

    def to_named(self) -> NamedTool:
        """Return what chat calls it."""
        return NamedTool(function=NamedFunction(name=self.name))


class AllowedChoice(_Wire, frozen=True, kw_only=True, tag="allowed_tools", tag_field="type"):
    """``tool_choice`` that names several functions."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[FunctionChoice], Meta(min_length=1)]


class TextFormat(_Wire, frozen=True, kw_only=True):
    """``text.format``."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None

    def to_format(self) -> ResponseFormat | None:
        """Return the domain's form, None for plain text. Raises BadRequest."""
        if self.type == "text":
            return None
        if self.type == "json_object":
            return ResponseFormat(type="json_object", param="text.format")
        for field in ("name", "schema"):
            if getattr(self, field) is None:
                param = f"text.format.{field}"
                raise BadRequest(f"{param} is required for type json_schema", param=param)
        return ResponseFormat(
            type="json_schema",
            param="text.format.schema",
            name=self.name,
            schema=self.schema,
            strict=bool(self.strict),
        )


class TextBody(_Wire, frozen=True, kw_only=True):
    """``text``."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningBody(_Wire, frozen=True, kw_only=True):
    """``reasoning``; with ``summary`` the thoughts themselves come as one, for no model here writes summaries."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: str | None = None


class ResponsesBody(SamplingBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request's body."""

    input: str | list[msgspec.Raw] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice | AllowedChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: Positive | None = None
    include: list[str] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    text: TextBody | None = None
    reasoning: ReasoningBody | None = None
    truncation: Literal["auto", "disabled"] | None = None
    thinking_budget: Annotated[int, Meta(ge=0)] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    # Only of tools that OpenAI's service runs, and there are none here.
    max_tool_calls: Positive | None = None
    background: bool | None = None
    # OpenAI's own services; they are refused by name.
    background_options: Any = None
    access_programs: Any = None
    context_management: Any = None
    conversation: Any = None
    image: Any = None
    moderation: Any = None
    personality: Any = None
    prompt: Any = None

    @property
    def wants_logprobs(self) -> bool:
        """Whether the answer is to tell how likely its tokens were."""
        return bool(self.top_logprobs) or LOGPROBS in (self.include or ())

    @property
    def wants_sealed(self) -> bool:
        """Whether thoughts are to come sealed too, for clients that carry nothing else."""
        return ENCRYPTED in (self.include or ())

    @property
    def wants_summary(self) -> bool:
        """Whether thoughts are to come as a summary."""
        reasoning = self.reasoning
        return bool(reasoning and (reasoning.summary or reasoning.generate_summary))

    def functions(self) -> list[FunctionToolItem]:
        """Return the tools. Raises BadRequest, UnsupportedField."""
        return [_tool(raw, f"tools[{position}]") for position, raw in enumerate(self.tools or ())]

    def to_request(self, messages: Sequence[ChatMessage]) -> ChatRequest:
        """Return the domain's request for turns that were read. Raises BadRequest, UnsupportedField."""
        given = self.sampling() | self._conversation(messages)
        if self.max_output_tokens is not None:
            given["max_tokens"] = self.max_output_tokens
        if self.wants_logprobs:
            given["logprobs"] = self.top_logprobs or 0
        asked = self.text.format.to_format() if self.text and self.text.format else None
        return ChatRequest(
            response_format=self.form(asked), truncation="auto" if self.truncation == "auto" else None, **given
        )

    def to_count(self, messages: Sequence[ChatMessage]) -> TokenizeRequest:
        """Return the request that counts what the turns and tools take. Raises BadRequest, UnsupportedField."""
        given = self._conversation(messages)
        # Which of the tools may be called is no part of the prompt.
        given.pop("allowed_tools", None)
        return TokenizeRequest(**given)

    def refuse(self) -> None:
        """Raise UnsupportedField, or BadRequest, for what no model can honour, whatever the turns are."""
        if self.input is None and self.previous_response_id is None:
            raise BadRequest("input is required", param="input")
        for name, instead in _OF_OPENAI.items():
            if getattr(self, name) is not None:
                raise UnsupportedField(f"{name}: not supported by this server; {instead}", param=name)
        if self.background:
            raise UnsupportedField("background: not supported by this server; use stream instead", param="background")
        refuse_includes(self.include or ())
        reasoning = self.reasoning or ReasoningBody()
        for param, value, usual in (
            ("text.verbosity", self.text and self.text.verbosity, "medium"),
            ("reasoning.context", reasoning.context, "auto"),
            ("reasoning.mode", reasoning.mode, "standard"),
        ):
            if value not in (None, usual):
                raise UnsupportedField(f"{param}: only {usual} is supported by this server; leave it out", param=param)

    def _conversation(self, messages: Sequence[ChatMessage]) -> dict[str, Any]:
        """Return what the prompt is made of."""
        return {
            "messages": tuple(messages),
            # Without tools it says nothing.
            "parallel_tool_calls": not self.tools or self.parallel_tool_calls is not False,
            "reasoning_effort": self.reasoning.effort if self.reasoning else None,
            "thinking_budget": self.thinking_budget,
            "chat_template_kwargs": self.chat_template_kwargs or {},
            **self._tools(),
        }

    def _tools(self) -> dict[str, Any]:
        choice: ToolChoice | None
        match self.tool_choice:
            case FunctionChoice() as named:
                choice = named.to_named()
            case AllowedChoice(mode=mode, tools=tools):
                choice = AllowedTools(allowed_tools=NamedTools(mode=mode, tools=[tool.to_named() for tool in tools]))
            case given:
                choice = given
        return choice_of(choice, [tool.to_tool() for tool in self.functions()])


def refuse_includes(names: Sequence[str]) -> None:
    """Raise UnsupportedField for the first name in ``include`` that says nothing here."""
    for name in names:
        if name not in INCLUDES:
            raise UnsupportedField(
                f"include: {name} is not supported; known are {', '.join(INCLUDES)}", param="include"
            )


def _tool(raw: msgspec.Raw, place: str) -> FunctionToolItem:
    kind = decode(raw, Kind, place).type
    if kind not in (None, "function"):
        param = f"{place}.type"
        raise UnsupportedField(
            f"{param}: {kind} is not supported by this server; make it a function, and run it yourself", param=param
        )
    return decode(raw, FunctionToolItem, place)
