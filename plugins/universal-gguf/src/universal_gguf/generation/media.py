"""Pictures and recordings in a prompt: what the request has, and what the model reads in the place of tokens."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy
from numpy.typing import NDArray

from universal_core import AudioPart, ChatMessage, ImagePart, TextPart
from universal_core.continuous_batching import Span

Embeddings = NDArray[numpy.float32]
Positions = NDArray[numpy.int32]


@dataclass(frozen=True)
class Given:
    """A picture or a recording of a request: the bytes of its file, and the parameters that errors name."""

    data: bytes
    part: str
    is_audio: bool

    @property
    def param(self) -> str:
        """The field that says where the file is."""
        return f"{self.part}.{'data' if self.is_audio else 'url'}"

    @cached_property
    def key(self) -> bytes:
        """What tells it from anything with another content."""
        return hashlib.sha256(self.data).digest() + bytes([self.is_audio])


@dataclass(frozen=True, slots=True)
class Medium:
    """What the model reads in the place of ``span.tokens`` tokens: ``embeddings``, ``[tokens, width]``.

    ``positions`` are ``[sections, tokens]``, with four sections for M-RoPE and else one, for a medium that begins at
    position 0; ``slopes``, of the same shape, are what each grows by when it begins one later. Where it is not
    ``causal``, all of it must be read at once.
    """

    span: Span
    embeddings: Embeddings
    positions: Positions
    slopes: Positions
    causal: bool


class MediaPrompt(list[int]):
    """The tokens of a prompt, and by place the media in it, whose ids are negative.

    These ids come from the content: two prompts with the same picture have the same ids for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.media: dict[int, Medium] = {}

    def add(self, medium: Medium, identity: bytes) -> None:
        """Append a medium; ``identity`` tells it from all others."""
        self.media[len(self)] = medium
        self.extend(ids_of(identity, medium.span.tokens))


def ids_of(identity: bytes, count: int) -> list[int]:
    """Return negative ids, ``count`` of them: 31 bits each of a hash."""
    hashed = numpy.frombuffer(hashlib.shake_128(identity).digest(4 * count), "<i4")
    ids: list[int] = (hashed | numpy.int32(-(2**31))).tolist()
    return ids


def media_in(messages: Sequence[ChatMessage]) -> list[Given]:
    """Return the pictures and recordings of a conversation in their order."""
    return list(_media_in(messages))


def _media_in(messages: Sequence[ChatMessage]) -> Iterator[Given]:
    for position, message in enumerate(messages):
        for place, part in enumerate(message.content):
            where = f"messages[{position}].content[{place}]"
            if isinstance(part, ImagePart):
                yield Given(part.data, f"{where}.image_url", is_audio=False)
            elif isinstance(part, AudioPart):
                yield Given(part.data, f"{where}.input_audio", is_audio=True)


def with_markers(messages: Sequence[ChatMessage], marker: str) -> tuple[ChatMessage, ...]:
    """Return a conversation that has a text in the place of each picture and recording."""
    text = TextPart(text=marker)
    return tuple(
        msgspec.structs.replace(
            message, content=tuple(part if isinstance(part, TextPart) else text for part in message.content)
        )
        for message in messages
    )
