"""A conversation's turns as OpenAI writes them, and as the domain has them."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from universal_core.config import MediaConfig
from universal_core.errors import BadRequest
from universal_core.media import read_all
from universal_core.messages import AudioPart, ChatMessage, ImagePart, Part, TextPart, ToolInvocation

Media = Mapping[str, bytes]
"""What pictures and recordings hold, by the names of the fields that say where they are."""

NO_MEDIA: Media = {}

Whole = TypeVar("Whole")


class _Wire(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the request body."""


class TextContent(_Wire, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="text", tag_field="type"):
    """``{"type": "text", "text": …}``."""

    text: str

    def to_part(self, place: str, media: Media) -> Part:
        """Return the domain's part."""
        return TextPart(text=self.text)


class RefusalContent(_Wire, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="refusal", tag_field="type"):
    """What an assistant refused with in an earlier turn."""

    refusal: str

    def to_part(self, place: str, media: Media) -> Part:
        """Return the words, which is all that a model can make of it."""
        return TextPart(text=self.refusal)


class ImageUrl(_Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a picture is."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImageContent(_Wire, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="image_url", tag_field="type"):
    """``{"type": "image_url", "image_url": {"url": …}}``."""

    image_url: ImageUrl

    def to_part(self, place: str, media: Media) -> Part:
        """Return the domain's part."""
        data = media.get(self.source(place)[0], b"")
        return ImagePart(data=data, detail=self.image_url.detail or "auto")

    def source(self, place: str) -> tuple[str, str]:
        """Return the name of the field that says where the picture is, and what it says."""
        return f"{place}.image_url.url", self.image_url.url


class InputAudio(_Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recording."""

    data: str
    format: str


class AudioContent(_Wire, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="input_audio", tag_field="type"):
    """``{"type": "input_audio", "input_audio": {"data": …, "format": …}}``."""

    input_audio: InputAudio

    def to_part(self, place: str, media: Media) -> Part:
        """Return the domain's part."""
        data = media.get(self.source(place)[0], b"")
        return AudioPart(data=data, format=self.input_audio.format)

    def source(self, place: str) -> tuple[str, str]:
        """Return the name of the field that says where the recording is, and what it says."""
        return f"{place}.input_audio.data", self.input_audio.data


class FileContent(_Wire, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="file", tag_field="type"):
    """A document; no model here reads files as such."""

    file: dict[str, Any]

    def to_part(self, place: str, media: Media) -> Part:
        """Refuse it by name."""
        raise BadRequest(f"{place}: files are not supported; send their text as a text part", param=place)


Content = TextContent | RefusalContent | ImageContent | AudioContent | FileContent


class FunctionCall(_Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A function's name and its arguments as JSON text."""

    name: str
    arguments: str = ""
    # The same once more, in answers that the SDK has parsed.
    parsed_arguments: Any = None


class ToolCallTurn(_Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call that an assistant made in an earlier turn."""

    id: str
    function: FunctionCall
    type: Literal["function"] = "function"
    # Where calls stand in the list, which clients keep that put them together from a stream.
    index: int | None = None


class Turn(_Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One message of the request."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Content] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCallTurn] | None = None
    tool_call_id: str | None = None
    # Answers of the SDK are sent back as they came: parsed says once more what content says, and the others are null
    # or empty there.
    parsed: Any = None
    audio: Any = None
    function_call: Any = None
    annotations: list[Any] | None = None

    def to_message(self, position: int, media: Media) -> ChatMessage:
        """Return the domain's message. Raises BadRequest for a turn that lacks what its role needs."""
        place = f"messages[{position}]"
        self._check(place)
        return ChatMessage(
            role=self.role,
            content=self._parts(place, media),
            name=self.name,
            reasoning=self.reasoning_content if self.reasoning is None else self.reasoning,
            tool_calls=tuple(
                ToolInvocation(id=call.id, name=call.function.name, arguments=call.function.arguments)
                for call in self.tool_calls or ()
            ),
            tool_call_id=self.tool_call_id,
        )

    def _check(self, place: str) -> None:
        def refuse(field: str, words: str) -> None:
            raise BadRequest(f"{place}.{field}{words}", param=f"{place}.{field}")

        if self.function_call is not None:
            refuse("function_call", ": not supported; send the call in tool_calls, and its result with role tool")
        says = bool(self.content) or self.content == ""
        if self.role == "assistant" and not (says or self.tool_calls or self.refusal is not None):
            refuse("content", " is required where there are no tool_calls")
        # A tool may have nothing to tell.
        if self.role not in ("assistant", "tool") and not says:
            refuse("content", f" is required for role {self.role}")
        if self.tool_calls and self.role != "assistant":
            refuse("tool_calls", ": only an assistant calls tools")
        if self.role == "tool" and not self.tool_call_id:
            refuse("tool_call_id", " is required for role tool")
        if self.reasoning is not None and self.reasoning_content not in (None, self.reasoning):
            refuse("reasoning", " and reasoning_content are two names of one text, but differ; send one of them")
        if self.audio is not None:
            refuse("audio", ": there are no spoken answers here; send its words as content")

    def _parts(self, place: str, media: Media) -> tuple[Part, ...]:
        if isinstance(self.content, str):
            return (TextPart(text=self.content),)
        if self.content is None:
            return (TextPart(text=self.refusal),) if self.refusal else ()
        return tuple(part.to_part(f"{place}.content[{at}]", media) for at, part in enumerate(self.content))


def messages_of(turns: Sequence[Turn], media: Media) -> tuple[ChatMessage, ...]:
    """Return the domain's messages; pictures and recordings that ``media`` lacks are empty.

    Raises BadRequest that names the turn.
    """
    return tuple(turn.to_message(position, media) for position, turn in enumerate(turns))


def with_media(
    turns: Sequence[Turn], to_request: Callable[[Media], Whole], config: MediaConfig
) -> Callable[[], Awaitable[Whole]] | None:
    """Return what makes a request whole by reading its pictures and recordings, None where it has none."""
    return completion(dict(_sources(turns)), to_request, config)


def completion(
    sources: Mapping[str, str], to_request: Callable[[Media], Whole], config: MediaConfig
) -> Callable[[], Awaitable[Whole]] | None:
    """Return the same for sources that are known: where each is, by the name of the field that says so."""

    async def complete() -> Whole:
        return to_request(await read_all(sources, config))

    return complete if sources else None


class TemplateBody(Protocol):
    """The fields of a body that are variables of a chat template."""

    @property
    def chat_template_kwargs(self) -> dict[str, Any] | None:
        """Any of them, by name."""

    @property
    def add_generation_prompt(self) -> bool | None:
        """Whether the assistant's turn is opened."""

    @property
    def continue_final_message(self) -> bool | None:
        """Whether the last turn is left open."""


def template_arguments(body: TemplateBody) -> dict[str, Any]:
    """Return the variables of a chat template that a body gives. Raises BadRequest for one that is given twice."""
    arguments = dict(body.chat_template_kwargs or {})
    for name in ("add_generation_prompt", "continue_final_message"):
        value = getattr(body, name)
        if value is not None and arguments.setdefault(name, value) != value:
            raise BadRequest(f"{name} and chat_template_kwargs.{name} differ; send one of them", param=name)
    return arguments


def _sources(turns: Sequence[Turn]) -> Iterator[tuple[str, str]]:
    for position, turn in enumerate(turns):
        for at, part in enumerate(turn.content if isinstance(turn.content, list) else ()):
            if isinstance(part, ImageContent | AudioContent):
                yield part.source(f"messages[{position}].content[{at}]")
