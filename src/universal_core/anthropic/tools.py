"""The tools of a conversation as Anthropic writes them: what they are, and which may be called."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from universal_core.anthropic.blocks import CacheableBlock, Wire
from universal_core.errors import UnsupportedField
from universal_core.http import check
from universal_core.messages import Tool
from universal_core.openai import NamedFunction, NamedTool, choice_of


class CustomTool(CacheableBlock, frozen=True, kw_only=True):
    """A function that the client runs."""

    name: Annotated[str, Meta(pattern=r"^[\w.-]{1,128}$")]
    input_schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None
    type: Literal["custom"] | None = None
    # Who may call it, and when it is shown: only the plain way is known here.
    allowed_callers: list[Literal["direct"]] | None = None
    defer_loading: Literal[False] | None = None
    input_examples: Annotated[list[dict[str, Any]], Meta(max_length=0)] | None = None
    # Only a hint about speed.
    eager_input_streaming: bool | None = None

    def to_tool(self) -> Tool:
        """Return the domain's tool."""
        return Tool(
            name=self.name,
            description=self.description,
            parameters=self.input_schema,
            strict=bool(self.strict),
        )


class CustomTools(Wire, frozen=True, kw_only=True):
    """All of them, so that errors tell their places."""

    tools: list[CustomTool]


class AnyTool(Wire, frozen=True, kw_only=True, tag="any", tag_field="type"):
    """Some tool must be called."""

    disable_parallel_tool_use: bool | None = None


class AutoTool(Wire, frozen=True, kw_only=True, tag="auto", tag_field="type"):
    """Tools may be called."""

    disable_parallel_tool_use: bool | None = None


class OneTool(Wire, frozen=True, kw_only=True, tag="tool", tag_field="type"):
    """This tool must be called."""

    name: str
    disable_parallel_tool_use: bool | None = None


class NoTool(Wire, frozen=True, kw_only=True, tag="none", tag_field="type"):
    """No tool may be called."""

    disable_parallel_tool_use: bool | None = None


ToolChoice = AnyTool | AutoTool | OneTool | NoTool


def tools_of(tools: Sequence[dict[str, Any]]) -> list[Tool]:
    """Return the domain's tools. Raises UnsupportedField for one that is not the client's own, and BadRequest."""
    for at, tool in enumerate(tools):
        kind = tool.get("type")
        if isinstance(kind, str) and kind != "custom":
            raise UnsupportedField(
                f"tools[{at}].type: {kind} is a tool that Anthropic defines; "
                "no model here knows it: leave it out, or describe it as a tool of your own with an input_schema",
                param=f"tools[{at}].type",
            )
    return [tool.to_tool() for tool in check({"tools": list(tools)}, CustomTools).tools]


def tool_fields(choice: ToolChoice | None, tools: Sequence[Tool]) -> dict[str, Any]:
    """Return the fields of a ChatRequest that say what may be called. Raises BadRequest."""
    found = choice_of(_named(choice), tools)
    if tools and choice is not None and choice.disable_parallel_tool_use:
        found["parallel_tool_calls"] = False
    return found


def _named(choice: ToolChoice | None) -> NamedTool | Literal["none", "auto", "required"] | None:
    match choice:
        case AnyTool():
            return "required"
        case OneTool():
            return NamedTool(function=NamedFunction(name=choice.name))
        case NoTool():
            return "none"
        case AutoTool():
            return "auto"
    return None
