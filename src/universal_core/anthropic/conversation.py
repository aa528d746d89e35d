"""From Anthropic's turns to the domain's messages, with the place that each part has in the request."""

from collections.abc import Mapping, Sequence

import msgspec

from universal_core.anthropic.blocks import (
    AssistantTurn,
    ContentSource,
    DocumentBlock,
    ImageBlock,
    ResultBlock,
    SearchResultBlock,
    SystemTurn,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    Turn,
    UserTurn,
)
from universal_core.errors import BadRequest
from universal_core.messages import ChatMessage, ImagePart, Part, Role, TextPart, ToolInvocation

APART = "\n\n"
"""What stands between blocks of text that are read one after the other."""

BILLING = "x-anthropic-billing-header:"
"""How the block of a system prompt begins that agents send for Anthropic's accounts; it differs in every request."""


class Draft(msgspec.Struct):
    """A message that is being put together; ``place`` and ``places`` tell where it and its parts stand in the body."""

    role: Role
    place: str
    parts: list[Part] = msgspec.field(default_factory=list)
    places: list[str] = msgspec.field(default_factory=list)
    thoughts: list[str] = msgspec.field(default_factory=list)
    calls: list[ToolInvocation] = msgspec.field(default_factory=list)
    tool_call_id: str | None = None

    def add(self, part: Part, place: str) -> None:
        """Append a part."""
        self.parts.append(part)
        self.places.append(place)

    def say(self, text: str, place: str, *, apart: bool = True) -> None:
        """Append text, ``apart`` from text before it."""
        between = APART if apart and self.parts and isinstance(self.parts[-1], TextPart) else ""
        if text:
            self.add(TextPart(text=between + text), place)

    @property
    def message(self) -> ChatMessage:
        """The domain's message."""
        return ChatMessage(
            role=self.role,
            content=tuple(self.parts),
            reasoning=APART.join(self.thoughts) or None,
            tool_calls=tuple(self.calls),
            tool_call_id=self.tool_call_id,
        )


class Conversation:
    """The messages of a request, and what is needed to make them whole and to speak of them to the client.

    ``sources`` tells where each picture is, by the name that the domain has for its place; ``opens`` whether the last
    message is the beginning of the answer. Raises BadRequest for what cannot be a conversation.
    """

    def __init__(self, system: str | Sequence[TextBlock] | None, turns: Sequence[Turn]) -> None:
        self.drafts: list[Draft] = []
        self.sources: dict[str, str] = {}
        self._instruct(system)
        for position, turn in enumerate(turns):
            self._add(turn, f"messages[{position}]")
        self._match_calls()
        self.opens = self._prefilled()
        if not any(draft.role != "system" for draft in self.drafts):
            raise BadRequest("messages: expected at least one turn that says something", param="messages")

    def messages(self, media: Mapping[str, bytes]) -> tuple[ChatMessage, ...]:
        """Return the domain's messages; pictures that ``media`` lacks are empty."""
        found = [draft.message for draft in self.drafts]
        return tuple(_with_pictures(message, position, media) for position, message in enumerate(found))

    def _instruct(self, system: str | Sequence[TextBlock] | None) -> None:
        blocks = [TextBlock(text=system)] if isinstance(system, str) else system or ()
        draft = Draft("system", "system")
        for at, block in enumerate(blocks):
            if not block.text.startswith(BILLING):
                draft.say(block.text, f"system[{at}]")
        if draft.parts:
            self.drafts.append(draft)

    def _add(self, turn: Turn, place: str) -> None:
        match turn:
            case UserTurn():
                self._hear(turn, place)
            case AssistantTurn():
                self._remember(turn, place)
            case SystemTurn():
                draft = self._open("system", place)
                for at, block in enumerate(_blocks(turn.content)):
                    draft.say(block.text, f"{place}.content[{at}]")

    def _open(self, role: Role, place: str) -> Draft:
        """Return the message to go on with: turns of one role that follow each other are one."""
        if not self.drafts or self.drafts[-1].role != role:
            self.drafts.append(Draft(role, place))
        return self.drafts[-1]

    def _hear(self, turn: UserTurn, place: str) -> None:
        """Add the results of calls, each as a turn of its tool, and then whatever else the user sent."""
        content = [TextBlock(text=turn.content)] if isinstance(turn.content, str) else turn.content
        rest: list[tuple[ResultBlock, str]] = []
        for at, block in enumerate(content):
            here = f"{place}.content[{at}]"
            if isinstance(block, ToolResultBlock):
                rest += self._report(block, here)
            else:
                rest.append((block, here))
        if rest:
            draft = self._open("user", place)
            for block, here in rest:
                self._show(draft, block, here)

    def _report(self, result: ToolResultBlock, place: str) -> list[tuple[ResultBlock, str]]:
        """Add the turn of a tool; return its pictures, which only users show to models."""
        draft = Draft("tool", place, tool_call_id=result.tool_use_id)
        self.drafts.append(draft)
        pictures: list[tuple[ResultBlock, str]] = []
        failed = "Error: " if result.is_error else ""
        content = [TextBlock(text=result.content)] if isinstance(result.content, str) else result.content or ()
        for at, block in enumerate(content):
            here = f"{place}.content[{at}]"
            words, shown = _taken_apart(block, here)
            draft.say(failed + words if words and not draft.parts else words, here)
            pictures += shown
        if failed and not draft.parts:
            draft.say("Error", place)
        return pictures

    def _show(self, draft: Draft, block: ResultBlock, place: str) -> None:
        words, pictures = _taken_apart(block, place)
        draft.say(words, place)
        for picture, here in pictures:
            self.sources[_name(len(self.drafts) - 1, len(draft.parts))] = picture.source.url
            draft.add(ImagePart(data=b""), here)

    def _remember(self, turn: AssistantTurn, place: str) -> None:
        """Add what the assistant said; its blocks follow each other as it wrote them."""
        draft = self._open("assistant", place)
        apart = bool(draft.parts)
        content = [TextBlock(text=turn.content)] if isinstance(turn.content, str) else turn.content
        for at, block in enumerate(content):
            match block:
                case TextBlock():
                    draft.say(block.text, f"{place}.content[{at}]", apart=apart)
                    apart = False
                case ThinkingBlock():
                    draft.thoughts += [block.thinking] if block.thinking else []
                case ToolUseBlock():
                    arguments = msgspec.json.encode(block.input).decode()
                    draft.calls.append(ToolInvocation(id=block.id, name=block.name, arguments=arguments))

    def _match_calls(self) -> None:
        """Refuse a result without its call, and a call without its result."""
        places: dict[str, str] = {}
        answered: set[str] = set()
        for draft in self.drafts:
            places |= {call.id: draft.place for call in draft.calls}
            if draft.tool_call_id is None:
                continue
            answered.add(draft.tool_call_id)
            if draft.tool_call_id not in places:
                place = f"{draft.place}.tool_use_id"
                raise BadRequest(
                    f"{place}: no tool_use block before it has the id {draft.tool_call_id}; send that block too",
                    param=place,
                )
        for id, place in places.items():
            if id not in answered:
                raise BadRequest(
                    f"{place}: calls a tool whose result must follow in a user turn, as a tool_result block with the "
                    f"tool_use_id {id}",
                    param=place,
                )

    def _prefilled(self) -> bool:
        """Return whether the answer is begun; a last turn that says nothing begins nothing."""
        last = self.drafts[-1] if self.drafts else None
        if last is None or last.role != "assistant":
            return False
        if not last.parts:
            self.drafts.pop()
        return bool(last.parts)


def _blocks(content: str | Sequence[TextBlock]) -> Sequence[TextBlock]:
    return [TextBlock(text=content)] if isinstance(content, str) else content


def _taken_apart(block: ResultBlock, place: str) -> tuple[str, list[tuple[ImageBlock, str]]]:
    """Return the words of a block, and its pictures with their places."""
    match block:
        case TextBlock():
            return block.text, []
        case ImageBlock():
            return "", [(block, place)]
        case SearchResultBlock():
            return APART.join([f"{block.title}\n{block.source}", *(inner.text for inner in block.content)]), []
    return _document(block, place)


def _document(block: DocumentBlock, place: str) -> tuple[str, list[tuple[ImageBlock, str]]]:
    source = block.source
    content = source.content if isinstance(source, ContentSource) else source.data
    inner = [TextBlock(text=content)] if isinstance(content, str) else content
    words = [part.text for part in inner if isinstance(part, TextBlock)]
    pictures = [
        (part, f"{place}.source.content[{at}]") for at, part in enumerate(inner) if isinstance(part, ImageBlock)
    ]
    return APART.join(text for text in (block.title, block.context, *words) if text), pictures


def _name(message: int, part: int) -> str:
    return f"messages[{message}].content[{part}]"


def _with_pictures(message: ChatMessage, position: int, media: Mapping[str, bytes]) -> ChatMessage:
    parts = tuple(
        ImagePart(data=media.get(_name(position, at), b"")) if isinstance(part, ImagePart) else part
        for at, part in enumerate(message.content)
    )
    return msgspec.structs.replace(message, content=parts)
