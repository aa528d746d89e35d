"""The bodies of Anthropic's requests, and the domain's requests that they become."""

from functools import cached_property
from typing import Annotated, Any, Literal

from msgspec import Meta

from universal_core.anthropic.blocks import TextBlock, Turn, Wire
from universal_core.anthropic.conversation import Conversation
from universal_core.anthropic.names import Names
from universal_core.anthropic.tools import ToolChoice, tool_fields, tools_of
from universal_core.errors import BadRequest, UnsupportedField
from universal_core.messages import ChatRequest, ResponseFormat, TokenizeRequest
from universal_core.openai import NO_MEDIA, Media

Share = Annotated[float, Meta(ge=0, le=1)]
StopText = Annotated[str, Meta(min_length=1)]
LEAST_BUDGET = 1024


class Thinks(Wire, frozen=True, kw_only=True, tag="enabled", tag_field="type"):
    """The model thinks, for so many tokens at most."""

    budget_tokens: Annotated[int, Meta(ge=LEAST_BUDGET)]
    display: Literal["summarized", "omitted"] | None = None


class ThinksAtWill(Wire, frozen=True, kw_only=True, tag="adaptive", tag_field="type"):
    """The model thinks as it likes."""

    display: Literal["summarized", "omitted"] | None = None


class DoesNotThink(Wire, frozen=True, kw_only=True, tag="disabled", tag_field="type"):
    """The model does not think."""

    display: None = None


Thinking = Thinks | ThinksAtWill | DoesNotThink


class JsonFormat(Wire, frozen=True, kw_only=True):
    """The schema that an answer must follow."""

    schema: dict[str, Any]
    type: Literal["json_schema"] = "json_schema"


class OutputConfig(Wire, frozen=True, kw_only=True):
    """How much work an answer is worth, and its form."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None
    task_budget: dict[str, Any] | None = None


class Edit(Wire, frozen=True, kw_only=True):
    """What is left out of a long conversation: thoughts, all of which are kept here."""

    type: Literal["clear_thinking_20251015"]
    keep: Literal["all"]


class ContextManagement(Wire, frozen=True, kw_only=True):
    """What is done to a conversation before it is read."""

    edits: list[Edit] | None = None


_ELSEWHERE = (
    *("container", "mcp_servers", "fallbacks", "fallback_credit_token", "compaction", "thread"),
    "inference_geo",
)


class ConversationBody(Wire, frozen=True, kw_only=True, dict=True):
    """The fields that both endpoints have; null means the same as leaving a field out."""

    messages: Annotated[list[Turn], Meta(min_length=1)]
    model: str | None = None
    system: str | list[TextBlock] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: JsonFormat | None = None
    context_management: ContextManagement | None = None
    # They change nothing of the answer, so every model honours them.
    cache_control: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    speed: Literal["standard", "fast"] | None = None
    diagnostics: dict[str, Any] | None = None
    billing_policy: Any = None
    user_profile_id: str | None = None
    workspace_id: str | None = None
    betas: list[str] | None = None
    # Anthropic's own services; no model behind this server can honour them, so they are refused by name.
    container: Any = None
    mcp_servers: list[Any] | None = None
    fallbacks: Any = None
    fallback_credit_token: str | None = None
    compaction: Any = None
    thread: Any = None
    inference_geo: str | None = None

    @cached_property
    def conversation(self) -> Conversation:
        """The turns, translated. Raises BadRequest."""
        return Conversation(self.system, self.messages)

    @property
    def names(self) -> Names:
        """How to speak of the domain's fields to this client."""
        return Names([(draft.place, draft.places) for draft in self.conversation.drafts], self._asks_for_thoughts())

    def template_arguments(self) -> dict[str, Any]:
        """Return what the chat template must know: whether the last turn is left open."""
        return {"continue_final_message": True} if self.conversation.opens else {}

    def effort(self) -> str | None:
        """Return the ChatRequest's reasoning_effort; where there is no thinking, effort says nothing."""
        if isinstance(self.thinking, DoesNotThink):
            return "none"
        return self.output_config.effort if self.output_config else None

    def form(self) -> ResponseFormat | None:
        """Return the form of the answer, where one is asked for. Raises BadRequest for two."""
        newer = self.output_config.format if self.output_config else None
        if newer and self.output_format:
            raise BadRequest(
                "output_format and output_config.format both say what form the answer has; send the latter",
                param="output_format",
            )
        found = newer or self.output_format
        place = "output_config.format.schema" if newer else "output_format.schema"
        return ResponseFormat(type="json_schema", param=place, schema=found.schema, strict=True) if found else None

    def refuse(self) -> None:
        """Raise UnsupportedField for a field that nothing here can honour."""
        for name in _ELSEWHERE:
            if getattr(self, name) not in (None, []):
                raise UnsupportedField(f"{name}: not supported by this server; leave it out", param=name)
        if self.output_config and self.output_config.task_budget is not None:
            place = "output_config.task_budget"
            raise UnsupportedField(f"{place}: not supported by this server; leave it out", param=place)

    def _asks_for_thoughts(self) -> str:
        return "output_config.effort" if self.output_config and self.output_config.effort else "thinking"


class MessagesBody(ConversationBody, frozen=True, kw_only=True, dict=True):
    """The body of POST /v1/messages."""

    max_tokens: Annotated[int, Meta(ge=0)]
    stop_sequences: Annotated[list[StopText], Meta(max_length=256)] | None = None
    stream: bool | None = None
    temperature: Share | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None

    def to_request(self, media: Media = NO_MEDIA) -> ChatRequest:
        """Return the domain's request; pictures that ``media`` lacks are empty. Raises BadRequest, UnsupportedField."""
        self.refuse()
        tools = tools_of(self.tools or ())
        return ChatRequest(
            messages=self.conversation.messages(media),
            max_tokens=self.max_tokens,
            # Agents ask for as much as Anthropic's models can write, whatever model answers.
            max_tokens_is_ceiling=True,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            stop=tuple(self.stop_sequences or ()),
            response_format=self.form(),
            reasoning_effort=self.effort(),
            thinking_budget=self._budget(),
            chat_template_kwargs=self.template_arguments(),
            **tool_fields(self.tool_choice, tools),
        )

    @property
    def hides_thoughts(self) -> bool:
        """Whether thoughts are not to be shown."""
        return isinstance(self.thinking, Thinks | ThinksAtWill) and self.thinking.display == "omitted"

    def _budget(self) -> int | None:
        if not isinstance(self.thinking, Thinks):
            return None
        if self.thinking.budget_tokens >= self.max_tokens:
            raise BadRequest(
                f"thinking.budget_tokens: expected less than max_tokens, which is {self.max_tokens}; "
                "thoughts are part of the answer's tokens",
                param="thinking.budget_tokens",
            )
        return self.thinking.budget_tokens


class CountBody(ConversationBody, frozen=True, kw_only=True, dict=True):
    """The body of POST /v1/messages/count_tokens."""

    def to_request(self, media: Media = NO_MEDIA) -> TokenizeRequest:
        """Return the domain's request; pictures that ``media`` lacks are empty. Raises BadRequest, UnsupportedField."""
        self.refuse()
        self.form()
        tools = tools_of(self.tools or ())
        fields = tool_fields(self.tool_choice, tools)
        # Which of the tools may be called is no part of the prompt.
        fields.pop("allowed_tools", None)
        return TokenizeRequest(
            messages=self.conversation.messages(media),
            reasoning_effort=self.effort(),
            thinking_budget=self.thinking.budget_tokens if isinstance(self.thinking, Thinks) else None,
            chat_template_kwargs=self.template_arguments(),
            **fields,
        )
