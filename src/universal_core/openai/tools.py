"""The tools of a conversation as OpenAI writes them: what they are, and which may be called."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from universal_core.errors import BadRequest, UnsupportedField
from universal_core.messages import Tool


class FunctionTool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A function's name, what it is for, and the JSON schema of its parameters."""

    name: Annotated[str, Meta(pattern=r"^[\w.-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool; only functions can be called."""

    function: FunctionTool | None = None
    type: str = "function"
    # OpenAI's other kind of tool, and the fields of a function where its Responses API has them.
    custom: Any = None
    name: Any = None
    description: Any = None
    parameters: Any = None
    strict: Any = None

    def to_tool(self, place: str) -> Tool:
        """Return the domain's tool. Raises BadRequest that begins with the place of what is no function."""
        if self.type != "function":
            raise UnsupportedField(
                f"{place}.type: only functions can be called; describe {self.type} as a function whose parameters are "
                "what it needs to know, and run it yourself",
                param=f"{place}.type",
            )
        self._refuse_misplaced(place)
        function = self.function
        if function is None:
            raise BadRequest(f"{place}.function is required", param=f"{place}.function")
        return Tool(
            name=function.name,
            description=function.description,
            parameters=function.parameters,
            strict=bool(function.strict),
        )

    def _refuse_misplaced(self, place: str) -> None:
        for name in ("custom", "name", "description", "parameters", "strict"):
            if getattr(self, name) is not None:
                raise BadRequest(
                    f"{place}.{name}: what describes a function stands in {place}.function; move it there",
                    param=f"{place}.{name}",
                )


def tools_of(bodies: Sequence[ToolBody] | None) -> list[Tool]:
    """Return the domain's tools. Raises BadRequest that names the first that is no function."""
    return [body.to_tool(f"tools[{at}]") for at, body in enumerate(bodies or ())]


class NamedFunction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The function that must be called."""

    name: str


class NamedTool(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="function", tag_field="type"
):
    """``tool_choice`` that names a function."""

    function: NamedFunction | None = None
    # Where OpenAI's Responses API has it.
    name: str | None = None

    @property
    def wanted(self) -> str:
        """The name of the function. Raises BadRequest where it is missing, or misplaced."""
        if self.function is None:
            found = ", not in its name" if self.name is not None else ""
            raise BadRequest(
                f'tool_choice.function is required{found}: send {{"type": "function", "function": {{"name": ...}}}}',
                param="tool_choice.function",
            )
        if self.name is not None:
            raise BadRequest(
                "tool_choice.name: the name stands in tool_choice.function; remove it", param="tool_choice.name"
            )
        return self.function.name


class NamedTools(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of the tools may be called, and whether one must be."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Meta(min_length=1)]


class AllowedTools(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="allowed_tools", tag_field="type"
):
    """``tool_choice`` that names several functions."""

    allowed_tools: NamedTools


ToolChoice = Literal["none", "auto", "required"] | NamedTool | AllowedTools


def choice_of(choice: ToolChoice | None, tools: Sequence[Tool]) -> dict[str, Any]:
    """Return a ChatRequest's ``tools``, ``tool_choice`` and ``allowed_tools``.

    Raises BadRequest for a choice of tools that are not there, and for two tools of one name.
    """
    names = [tool.name for tool in tools]
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        place = f"tools[{names.index(twice, names.index(twice) + 1)}].function.name"
        raise BadRequest(f"{place}: there is a tool {twice} already; give each a name of its own", param=place)
    if not tools:
        if choice not in (None, "none", "auto"):
            raise BadRequest("tool_choice: there are no tools to choose from; send tools", param="tool_choice")
        return {}
    found = {"tools": tuple(tools)}
    match choice:
        case NamedTool():
            return found | {"tool_choice": "required", "allowed_tools": _known([choice], names)}
        case AllowedTools():
            inner = choice.allowed_tools
            return found | {"tool_choice": inner.mode, "allowed_tools": _known(inner.tools, names)}
        case None:
            return found
    return found | {"tool_choice": choice}


def _known(named: Sequence[NamedTool], names: Sequence[str]) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(tool.wanted for tool in named))
    missing = next((name for name in wanted if name not in names), None)
    if missing is not None:
        raise BadRequest(f"tool_choice: there is no tool {missing}; known are {', '.join(names)}", param="tool_choice")
    return wanted
