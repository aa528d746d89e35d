"""The items of /v1/responses: what a client says, what a model answers, and both as they are kept."""

import base64
import binascii
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from universal_core.errors import BadRequest, UnsupportedField
from universal_core.http import decode
from universal_core.messages import ImagePart, Part, TextPart
from universal_core.openai.turns import AudioContent, Media, RefusalContent

_SEAL = "thoughts."

Status = Literal["in_progress", "completed", "incomplete"]


class _Wire(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of the request body."""


class InputText(_Wire, frozen=True, kw_only=True, tag="input_text", tag_field="type"):
    """Words."""

    text: str
    prompt_cache_breakpoint: dict[str, Any] | None = None

    def to_part(self, place: str, media: Media) -> Part:
        """Return the domain's part."""
        return TextPart(text=self.text)


class InputImage(_Wire, frozen=True, kw_only=True, tag="input_image", tag_field="type"):
    """A picture, at a URL or in one."""

    image_url: str | None = None
    detail: Literal["low", "high", "auto", "original"] | None = None
    file_id: str | None = None
    prompt_cache_breakpoint: dict[str, Any] | None = None

    def to_part(self, place: str, media: Media) -> Part:
        """Return the domain's part; ``original`` is the most that a model knows. Raises BadRequest without a URL."""
        param, _ = self.source(place)
        return ImagePart(
            data=media.get(param, b""), detail="high" if self.detail == "original" else self.detail or "auto"
        )

    def source(self, place: str) -> tuple[str, str]:
        """Return the name of the field that says where the picture is, and what it says."""
        if self.file_id is not None:
            param = f"{place}.file_id"
            raise UnsupportedField(f"{param}: no files are kept here; send the picture as image_url", param=param)
        param = f"{place}.image_url"
        if self.image_url is None:
            raise BadRequest(f"{param} is required", param=param)
        return param, self.image_url


class InputFile(msgspec.Struct, frozen=True, tag="input_file", tag_field="type"):
    """A document; no model here reads files as such."""

    def to_part(self, place: str, media: Media) -> Part:
        """Refuse it by name."""
        raise UnsupportedField(f"{place}: files are not supported; send their text as input_text", param=place)


class OutputText(_Wire, frozen=True, kw_only=True, omit_defaults=False, tag="output_text", tag_field="type"):
    """Words of an answer."""

    text: str
    annotations: list[Any] = []
    logprobs: list[Any] | None = []

    def to_part(self, place: str, media: Media) -> Part:
        """Return the domain's part."""
        return TextPart(text=self.text)


Content = InputText | InputImage | InputFile | AudioContent | OutputText | RefusalContent


class MessageItem(_Wire, frozen=True, kw_only=True, tag="message", tag_field="type"):
    """A turn of someone."""

    id: str | None = None
    status: Status | None = None
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Content]
    phase: str | None = None


class FunctionCallItem(
    _Wire, frozen=True, kw_only=True, tag="function_call", tag_field="type", rename={"run_async": "async"}
):
    """A call that the model made."""

    id: str | None = None
    status: Status | None = None
    call_id: str
    name: str
    arguments: str
    namespace: None = None
    caller: dict[str, Any] | None = None
    created_by: str | None = None
    run_async: Literal[False] | None = None


class FunctionCallOutputItem(_Wire, frozen=True, kw_only=True, tag="function_call_output", tag_field="type"):
    """What a call gave."""

    id: str | None = None
    status: Status | None = None
    call_id: str
    output: str | list[Content]
    name: str | None = None
    namespace: None = None
    caller: dict[str, Any] | None = None
    created_by: str | None = None


class SummaryText(_Wire, frozen=True, kw_only=True, tag="summary_text", tag_field="type"):
    """A part of a summary of thoughts."""

    text: str


class ReasoningText(_Wire, frozen=True, kw_only=True, tag="reasoning_text", tag_field="type"):
    """A part of thoughts."""

    text: str


class ReasoningItem(_Wire, frozen=True, kw_only=True, omit_defaults=False, tag="reasoning", tag_field="type"):
    """What the model thought."""

    id: str | None = None
    summary: list[SummaryText] = []
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None
    status: Status | None = None

    def thoughts(self, place: str) -> str:
        """Return them, from the best of what was sent back. Raises BadRequest for what only others can read."""
        if self.content:
            return "".join(part.text for part in self.content)
        if self.encrypted_content is not None:
            found = unsealed(self.encrypted_content)
            if found is not None:
                return found
            if not self.summary:
                param = f"{place}.encrypted_content"
                raise BadRequest(f"{param}: this server has not written it; leave the item out", param=param)
        return "\n\n".join(part.text for part in self.summary)


class ItemReference(_Wire, frozen=True, kw_only=True, tag="item_reference", tag_field="type"):
    """An item that was written before, by its id."""

    id: str


Item = MessageItem | FunctionCallItem | FunctionCallOutputItem | ReasoningItem
_TYPES: dict[str, type[Item | ItemReference]] = {
    "message": MessageItem,
    "function_call": FunctionCallItem,
    "function_call_output": FunctionCallOutputItem,
    "reasoning": ReasoningItem,
    "item_reference": ItemReference,
}
_PREFIXES: dict[type[Item], str] = {
    MessageItem: "msg",
    FunctionCallItem: "fc",
    FunctionCallOutputItem: "fco",
    ReasoningItem: "rs",
}


class Placed(NamedTuple):
    """An item, and the field that it stands in."""

    place: str
    item: Item


class Kind(msgspec.Struct, frozen=True):
    """What tells the kinds of items and tools apart."""

    type: str | None = None
    role: str | None = None


def read_items(items: Sequence[msgspec.Raw]) -> Iterator[tuple[str, Item | ItemReference]]:
    """Yield the items of a request, each with the field that it stands in. Raises BadRequest, UnsupportedField."""
    for position, raw in enumerate(items):
        place = f"input[{position}]"
        kind = decode(raw, Kind, place)
        name = kind.type or ("item_reference" if kind.role is None else "message")
        if name not in _TYPES:
            param = f"{place}.type"
            raise UnsupportedField(
                f"{param}: {name} is not supported by this server; known are {', '.join(_TYPES)}", param=param
            )
        yield place, decode(raw, _TYPES[name], place)


def read_kept(body: bytes) -> Item:
    """Return an item that was kept."""
    found: Item = msgspec.json.decode(body, type=Item)
    return found


def to_keep(item: Item) -> Item:
    """Return an item as it is listed later: with an id, a status, and its words in parts."""
    fields: dict[str, Any] = {"id": item.id or minted(_PREFIXES[type(item)]), "status": item.status or "completed"}
    if isinstance(item, MessageItem) and isinstance(item.content, str):
        part = OutputText if item.role == "assistant" else InputText
        fields["content"] = [part(text=item.content)]
    return msgspec.structs.replace(item, **fields)


def parts_of(content: str | Sequence[Content], place: str, media: Media) -> tuple[Part, ...]:
    """Return the domain's parts; pictures and recordings that ``media`` lacks are empty. Raises BadRequest."""
    if isinstance(content, str):
        return (TextPart(text=content),)
    return tuple(part.to_part(f"{place}[{at}]", media) for at, part in enumerate(content))


def sources_of(items: Sequence[Placed]) -> Iterator[tuple[str, str]]:
    """Yield where each picture and recording is, with the name of the field that says so. Raises BadRequest."""
    for place, item in items:
        field = "output" if isinstance(item, FunctionCallOutputItem) else "content"
        content = getattr(item, field, None)
        for at, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, InputImage | AudioContent):
                yield part.source(f"{place}.{field}[{at}]")


def minted(prefix: str) -> str:
    """Return a new id that nobody can guess."""
    return f"{prefix}_{secrets.token_hex(24)}"


def sealed(thoughts: str) -> str:
    """Return thoughts as clients carry them without looking in: not a secret, for it is the client who has them."""
    return _SEAL + base64.b64encode(thoughts.encode()).decode()


def unsealed(text: str) -> str | None:
    """Return the thoughts that were sealed here, None for anything else."""
    try:
        return base64.b64decode(text.removeprefix(_SEAL), validate=True).decode() if text.startswith(_SEAL) else None
    except (binascii.Error, UnicodeDecodeError):
        return None
