"""What a chat template knows of tools: found out by showing it some."""

from dataclasses import dataclass

from universal_core.conversation.template import ChatTemplate
from universal_core.errors import BadRequest
from universal_core.messages import ChatMessage, TextPart, Tool, ToolInvocation

_TOOL = Tool(name="probed_tool", description="probed description", parameters={"type": "object", "properties": {}})
_ASK = ChatMessage(role="user", content=(TextPart(text="probed question"),))
_SYSTEM = ChatMessage(role="system", content=(TextPart(text="probed system"),))
# Some templates know only ids of nine letters and digits.
_FIRST = ToolInvocation(id="probed001", name="probed_tool", arguments='{"probed_key": "probed value"}')
_SECOND = ToolInvocation(id="probed002", name="probed_tool", arguments='{"probed_key": "further value"}')


@dataclass(frozen=True, slots=True)
class Support:
    """Whether a template shows the tools of a request, and of earlier turns calls, several in one turn, and results.

    ``system`` tells whether it shows a system turn, and ``short_ids`` whether it wants ids of nine letters and digits.
    """

    tools: bool = False
    calls: bool = False
    several: bool = False
    results: bool = False
    system: bool = True
    short_ids: bool = False


def support_of(template: ChatTemplate | None) -> Support:
    """Return what a template knows of tools; nothing where there is none."""
    if template is None:
        return Support()

    def shows(*messages: ChatMessage, text: str, tools: tuple[Tool, ...] = (_TOOL,)) -> bool:
        return all(one in _rendered(template, messages, tools) for one in text.split("|"))

    calls = shows(_ASK, _calling(_FIRST), _result(_FIRST), text="probed_key|probed value")
    return Support(
        tools=shows(_ASK, text="probed_tool|probed question") and shows(_SYSTEM, _ASK, text="probed_tool"),
        calls=calls,
        several=shows(
            _ASK, _calling(_FIRST, _SECOND), _result(_FIRST), _result(_SECOND), text="probed value|further value"
        ),
        results=calls and shows(_ASK, _calling(_FIRST), _result(_FIRST), text="probed result"),
        system=shows(_SYSTEM, _ASK, text="probed system", tools=()),
        short_ids="[TOOL_CALLS]" in template.source,
    )


def _calling(*calls: ToolInvocation) -> ChatMessage:
    return ChatMessage(role="assistant", tool_calls=calls)


def _result(call: ToolInvocation) -> ChatMessage:
    return ChatMessage(role="tool", content=(TextPart(text="probed result"),), tool_call_id=call.id, name=call.name)


def _rendered(template: ChatTemplate, messages: tuple[ChatMessage, ...], tools: tuple[Tool, ...]) -> str:
    try:
        return template.render(messages, tools=tools)
    except BadRequest:
        return ""
