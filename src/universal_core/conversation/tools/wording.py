"""Tools put into words, for models whose chat template has no place for them: any of them can be given tools.

A text lists the tools and says how to call one. Calls of earlier turns are written the same way, and their results
are turns of the user. Where nothing tells the form, it is that of Hermes, which most models have met.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import ascii_letters, digits
from typing import Protocol

from msgspec.structs import replace

from universal_core.conversation.tools.families import HERMES
from universal_core.conversation.tools.format import calls_many
from universal_core.conversation.tools.objects import parsed
from universal_core.conversation.tools.support import Support
from universal_core.conversation.turns import tool_of
from universal_core.messages import ChatMessage, ChatRequest, Part, TextPart, Tool, ToolInvocation

_LIST = """\
You can call functions. These are the functions there are, each as a JSON object on a line of its own:
<tools>
{tools}
</tools>

To call a function, write its name and its arguments in this form, and nothing after it:
{example}
{several} What a function returns comes in the next turn{place}."""
_MANY = "To call several, write one such block after the other."
_ONE = "Call no more than one."
_LETTERS = ascii_letters + digits
_ID_LENGTH = 9


class Written(Protocol):
    """A form of calls, as far as it can be shown to a model."""

    def written(self, name: str, arguments: str) -> str:
        """Return a call as a model writes it; arguments are a JSON object."""


@dataclass(frozen=True, slots=True)
class Wording:
    """Puts into words what a template does not show, in the form in which the model is to write its calls."""

    form: Written
    support: Support

    def shown(self, request: ChatRequest) -> ChatRequest:
        """Return a request as the template is to see it; without tools where none may be called."""
        known = () if request.tool_choice == "none" else request.tools
        messages, tools = self.put(request.messages, known, many=calls_many(request))
        return replace(request, messages=tuple(messages), tools=tuple(tools))

    def put(
        self, messages: Sequence[ChatMessage], tools: Sequence[Tool], *, many: bool = True
    ) -> tuple[Sequence[ChatMessage], Sequence[Tool]]:
        """Return a conversation and its tools as the template takes them."""
        if self._is_native:
            messages = messages if self.support.several else list(_one_by_one(messages))
            messages = [_with_short_ids(message) for message in messages] if self.support.short_ids else messages
        else:
            messages = self._in_words(messages)
        if not tools or self.support.tools:
            return messages, tools
        return with_guide(messages, self.guide(tools, many=many), system=self.support.system), ()

    def guide(self, tools: Sequence[Tool], *, many: bool = True) -> str:
        """Return the text that tells a model which tools there are, and how to call them."""
        return _LIST.format(
            tools="\n".join(json.dumps(tool_of(tool), ensure_ascii=False) for tool in tools),
            example=self.form.written("name_of_the_function", '{"name_of_an_argument": "its value"}'),
            several=_MANY if many else _ONE,
            place="" if self._is_native else ", between <tool_response> and </tool_response>",
        )

    @property
    def _is_native(self) -> bool:
        """Whether the template shows calls and their results itself."""
        return self.support.calls and self.support.results

    def _in_words(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
        """Return a conversation without calls and results; what the user says beside a result is one turn with it."""
        found: list[ChatMessage] = []
        before = ""
        for message in messages:
            plain = self._plain(message)
            if found and found[-1].role == plain.role == "user" and "tool" in (before, message.role):
                found[-1] = _joined(found[-1], plain)
            else:
                found.append(plain)
            before = message.role
        return found

    def _plain(self, message: ChatMessage) -> ChatMessage:
        """Return a turn without calls, which are written out, and a result as what the user says."""
        if message.role == "tool":
            parts = (TextPart(text="<tool_response>\n"), *message.content, TextPart(text="\n</tool_response>"))
            return ChatMessage(role="user", content=parts)
        if not message.tool_calls:
            return message
        text = "\n".join(self._written(call) for call in message.tool_calls)
        before: tuple[Part, ...] = (*message.content, TextPart(text="\n")) if message.text else message.content
        return replace(message, content=(*before, TextPart(text=text)), tool_calls=())

    def _written(self, call: ToolInvocation) -> str:
        found = parsed(call.arguments)
        # What an earlier answer wrote need not be an object: Hermes' form takes anything.
        form = self.form if isinstance(found, dict) else HERMES
        return form.written(call.name, call.arguments or "{}")


def with_guide(messages: Sequence[ChatMessage], text: str, *, system: bool) -> list[ChatMessage]:
    """Return a conversation with a text in its system turn, or before what the user says where there can be none."""
    if messages and messages[0].role in ("system", "developer"):
        first = messages[0]
        return [replace(first, content=(*first.content, TextPart(text=f"\n\n{text}"))), *messages[1:]]
    if system:
        return [ChatMessage(role="system", content=(TextPart(text=text),)), *messages]
    at = next((at for at, message in enumerate(messages) if message.role == "user"), None)
    if at is None:
        return [ChatMessage(role="user", content=(TextPart(text=text),)), *messages]
    asked = replace(messages[at], content=(TextPart(text=f"{text}\n\n"), *messages[at].content))
    return [*messages[:at], asked, *messages[at + 1 :]]


def _joined(last: ChatMessage, message: ChatMessage) -> ChatMessage:
    """Return two turns of the user as one: many templates refuse two in a row."""
    return replace(last, content=(*last.content, TextPart(text="\n"), *message.content))


def _one_by_one(messages: Sequence[ChatMessage]) -> Iterable[ChatMessage]:
    """Yield a conversation in which every turn makes one call, and the call's result follows it."""
    results = {message.tool_call_id: message for message in messages if message.role == "tool"}
    split = {call.id for message in messages if len(message.tool_calls) > 1 for call in message.tool_calls}
    for message in messages:
        if message.role == "tool" and message.tool_call_id in split:
            continue
        if len(message.tool_calls) < 2:
            yield message
            continue
        for at, call in enumerate(message.tool_calls):
            turn = message if at == 0 else ChatMessage(role="assistant")
            yield replace(turn, tool_calls=(call,))
            if call.id in results:
                yield results[call.id]


def _with_short_ids(message: ChatMessage) -> ChatMessage:
    calls = tuple(replace(call, id=short_id(call.id)) for call in message.tool_calls)
    id = message.tool_call_id
    return replace(message, tool_calls=calls, tool_call_id=None if id is None else short_id(id))


def short_id(id: str) -> str:
    """Return an id of nine letters and digits, always the same for the same id."""
    if len(id) == _ID_LENGTH and all(letter in _LETTERS for letter in id):
        return id
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in hashlib.sha256(id.encode()).digest()[:_ID_LENGTH])
