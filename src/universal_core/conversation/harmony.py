"""gpt-oss's harmony: a turn of several messages, each in a channel for thoughts, for calls, or for the answer.

https://github.com/openai/harmony/blob/main/docs/format.md describes it:

    <|start|>assistant<|channel|>analysis<|message|>The user asks ...<|end|>
    <|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": ...}<|call|>
    <|start|>assistant<|channel|>final<|message|>It is sunny.<|return|>
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from universal_core.conversation.constraint import Grammar
from universal_core.conversation.dialect import embedded, enforces, speller, tokens_of
from universal_core.conversation.effort import Effort
from universal_core.conversation.parsing import Call, Content, Piece, Thought, TurnParser
from universal_core.conversation.stops import could_begin, half_marker
from universal_core.conversation.template import ChatTemplate
from universal_core.conversation.tools import Rules, Wording, callable_tools, callables, support_of
from universal_core.conversation.tools.lark import literal, pattern
from universal_core.conversation.tools.objects import parsed
from universal_core.conversation.vocabulary import Vocabulary
from universal_core.messages import ChatRequest, FinishReason

START, CHANNEL, MESSAGE, CONSTRAIN = "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"
END, CALL, RETURN = "<|end|>", "<|call|>", "<|return|>"
MARKERS = (START, CHANNEL, MESSAGE, CONSTRAIN, END, CALL, RETURN)

_NEXT = f"{END}{START}assistant"
_FINAL = f"{CHANNEL}final{MESSAGE}"
_CLOSED = (END, CALL, RETURN)
_ENDS = (*_CLOSED, START, CHANNEL)
_RECIPIENT = re.compile(r"\bto=([^\s<]+)")
_CHANNEL = re.compile(re.escape(CHANNEL) + r"\s*(\w+)")
# A header has a role, a recipient, a channel and a type of content, and is never longer.
_LONGEST_HEADER = 256
_BEHIND_ROLE = (CHANNEL, MESSAGE, CONSTRAIN, " to=", "to=")

Kind = Literal["thought", "call", "content"]


def is_harmony(source: str) -> bool:
    """Whether the source of a template writes turns in this form."""
    return all(marker in source for marker in (START, CHANNEL, MESSAGE))


@dataclass(frozen=True, slots=True)
class Message:
    """What a header says of its message; ``name`` is the tool that is called."""

    kind: Kind
    name: str = ""


def message_of(header: str, tools: frozenset[str]) -> Message:
    """Return what a header announces: a message to anybody but the user and the ``tools`` is thought."""
    recipient = _RECIPIENT.search(header)
    if recipient is not None:
        name = recipient[1].removeprefix("functions.")
        called = name in tools or recipient[1].startswith("functions.")
        return Message("call", name) if called else Message("thought")
    channel = _CHANNEL.search(header)
    return Message("thought" if channel is not None and channel[1] == "analysis" else "content")


class HarmonyTurn:
    """Takes a turn of messages apart, from a prompt on that ends with ``tail``.

    A call that no grammar keeps valid (``guaranteed``) is held back until it is whole; one that is broken, or of no
    known tool, is content.
    """

    def __init__(self, tail: str, tools: frozenset[str], *, guaranteed: bool = False) -> None:
        self._tools = tools
        self._guaranteed = guaranteed
        self._buffer = ""
        self._passed = 0
        self._calls = 0
        self._header = ""
        self._message: Message | None = None
        if START not in tail:
            # The prompt ends somewhere in a long message that is to go on.
            self._message = Message("content")
            return
        self._header, opened, _ = tail.rpartition(START)[2].partition(MESSAGE)
        if opened:
            self._message = message_of(self._header, tools)

    @property
    def thinking(self) -> bool:
        """Whether a thought is being written."""
        return self._message is not None and self._message.kind == "thought"

    @property
    def answering(self) -> bool:
        """Whether the answer itself is being written."""
        return self._message is not None and self._message.kind == "content"

    @property
    def held(self) -> int:
        """How many characters are in no piece yet."""
        return len(self._buffer)

    def feed(self, text: str) -> list[Piece]:
        """Return the pieces that a further text completes."""
        self._buffer += text
        pieces: list[Piece] = []
        going = True
        while going:
            going = self._read_body(self._message, pieces) if self._message else self._read_header(pieces)
        return pieces

    def close(self, reason: FinishReason) -> list[Piece]:
        """Return what was held back; a header that nothing follows says nothing, nor half a marker that was cut."""
        pieces: list[Piece] = []
        if self._message is not None:
            if reason == "length":
                self._buffer = self._buffer[: len(self._buffer) - half_marker(self._buffer, _ENDS)]
            self._tell(self._message, self._buffer, pieces, whole=reason == "stop")
        elif not self._is_header(self._buffer):
            pieces.append(Content(self._buffer, self._passed))
        self._drop(len(self._buffer))
        return pieces

    def _read_header(self, pieces: list[Piece]) -> bool:
        """Open the next message; return whether its header is there."""
        header, found, _ = self._buffer.partition(MESSAGE)
        if not self._is_header(self._buffer):
            # A marker that opens no header would end the message that begins with it, for ever.
            self._drop(next((len(marker) for marker in MARKERS if self._buffer.startswith(marker)), 0))
            self._message = Message("content")
            return True
        if not found:
            return False
        self._message = message_of(self._header + header, self._tools)
        self._drop(len(header) + len(MESSAGE))
        if self._message.kind == "call" and self._guaranteed:
            pieces.append(Call(self._calls, name=self._message.name))
        return True

    def _read_body(self, message: Message, pieces: list[Piece]) -> bool:
        """Take what belongs to a message for sure; return whether it is over."""
        found = [(at, marker) for marker in _ENDS if (at := self._buffer.find(marker)) >= 0]
        if found:
            at, marker = min(found)
            self._tell(message, self._buffer[:at], pieces, whole=True)
            self._drop(at + (len(marker) if marker in _CLOSED else 0))
            self._calls += message.kind == "call"
            self._message, self._header = None, ""
            return True
        if message.kind != "call" or self._guaranteed:
            text = self._buffer[: len(self._buffer) - could_begin(self._buffer, _ENDS)]
            self._tell(message, text, pieces)
            self._drop(len(text))
        return False

    def _tell(self, message: Message, text: str, pieces: list[Piece], *, whole: bool = False) -> None:
        if not text:
            return
        if message.kind == "thought":
            pieces.append(Thought(text))
        elif message.kind == "content":
            pieces.append(Content(text, self._passed))
        elif self._guaranteed:
            pieces.append(Call(self._calls, arguments=text))
        elif whole and message.name in self._tools and isinstance(parsed(text), dict):
            pieces += [Call(self._calls, name=message.name), Call(self._calls, arguments=text.strip())]
        else:
            pieces.append(Content(text, self._passed))

    def _is_header(self, text: str) -> bool:
        """Whether a text may be what goes on with the header, or the beginning of that."""
        written = (self._header + text).lstrip()
        for part in (*_CLOSED, START, "assistant"):
            if part.startswith(written):
                return True
            written = written.removeprefix(part)
        known = any(written.startswith(one) or one.startswith(written) for one in _BEHIND_ROLE)
        return known and len(text.partition(MESSAGE)[0]) < _LONGEST_HEADER

    def _drop(self, count: int) -> None:
        self._buffer = self._buffer[count:]
        self._passed += count


class HarmonyDialect:
    """Turns of messages in channels."""

    def __init__(self, vocabulary: Vocabulary, template: ChatTemplate | None = None) -> None:
        self._wording = Wording(self, support_of(template))
        self._effort = Effort(template)
        self._spell = speller(vocabulary)
        self._tokens = tokens_of(vocabulary, MARKERS)

    def told(self, request: ChatRequest) -> ChatRequest:
        """Return a request whose template arguments say how much to think."""
        return self._effort.told(request)

    def shown(self, request: ChatRequest) -> ChatRequest:
        """Return a request with its tools as the template shows them, or in words."""
        return self._wording.shown(request)

    def written(self, name: str, arguments: str) -> str:
        """Return a call as a model writes it."""
        return f"{CHANNEL}commentary to=functions.{name} {CONSTRAIN}json{MESSAGE}{arguments}{CALL}"

    def ending(self, request: ChatRequest, prompt: str) -> str:
        """Return an empty thought where there is to be none, and the answer's header where nothing can be called."""
        if request.reasoning_effort != "none":
            return ""
        end = self.thought_end(request, prompt) or ""
        if HarmonyTurn(prompt, frozenset()).thinking:
            return end
        return f"{CHANNEL}analysis{MESSAGE}{end}" if prompt.endswith(f"{START}assistant") else ""

    def markers(self, request: ChatRequest) -> Mapping[int, str]:
        """Return the tokens that messages are made of."""
        return self._tokens

    def parser(self, request: ChatRequest, tail: str) -> TurnParser:
        """Return what takes messages apart."""
        names = frozenset(tool.name for tool in callable_tools(request).values())
        return HarmonyTurn(tail, names, guaranteed=enforces(request))

    def thought_end(self, request: ChatRequest, tail: str) -> str | None:
        """Return what ends a thought; a call may follow where there are tools, else only the answer does."""
        if HarmonyTurn(tail, frozenset()).answering:
            return None
        return _NEXT if callable_tools(request) else _NEXT + _FINAL

    def grammar(self, request: ChatRequest, tail: str, form: Grammar | None) -> Grammar | None:
        """Return a thought that may come first, and then the answer in its form, or a call that is valid."""
        if form is None and not enforces(request):
            return None
        known = embedded(form) if form else Rules("")
        parts, params = dict(known.parts), dict(known.params)
        calls = []
        for tool in callables(request):
            parts[tool.part] = {"json_schema": tool.schema}
            params[tool.part] = tool.param
            header = literal(f"commentary to=functions.{tool.name} ")
            calls.append(f'channel {header} constrain "json" message @{tool.part}')
        answer = "@form" if form else "TEXT"
        answers = [] if calls and request.tool_choice == "required" else [f'channel "final" message {answer}']
        # Words before a call are content too: no part of an answer that has a form, and not what is required.
        preamble = bool(answers) and form is None
        return Grammar(self._rules(tail, " | ".join([*answers, *calls]), answer, preamble=preamble), parts, params)

    def _rules(self, tail: str, turn: str, answer: str, *, preamble: bool) -> str:
        """Return the rules of a whole turn: what may be thought where the prompt ends, and then ``turn``."""
        markers = {"channel": CHANNEL, "message": MESSAGE, "constrain": CONSTRAIN, "start_of": START, "end_of": END}
        spelled = "".join(f"{name}: {self._spell(marker)}\n" for name, marker in markers.items())
        begun = HarmonyTurn(tail, frozenset())
        text = 'TEXT end_of start_of "assistant"'
        channels = '("analysis" | "commentary")' if preamble else '"analysis"'
        start = f"(channel {channels} message {text})* turn"
        if begun.thinking:
            start = f"{text} {start}"
        elif begun.answering:
            start, turn = "turn", answer
        # The markers spelled out in letters would end a text for who reads it, so no text has them.
        ends = "|".join(map(pattern, _ENDS))
        return f"start: {start}\nturn: {turn}\n{spelled}TEXT: /(?s:.*)/ & ~/(?s:.*)({ends})(?s:.*)/\n"
