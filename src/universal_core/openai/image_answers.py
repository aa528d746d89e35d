"""What a client gets for a request for pictures: one answer, or events as they are made."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Literal

import msgspec

from universal_core.errors import StorageFailed
from universal_core.gallery import Gallery
from universal_core.http import comment, data
from universal_core.messages import (
    ImageFormat,
    ImageQuality,
    ImageRequest,
    Message,
    Notice,
    Picture,
    Preview,
    Step,
    Usage,
)

log = logging.getLogger(__name__)


class TextAndImageTokens(msgspec.Struct, frozen=True):
    """Tokens by what they stand for; models say how many they read, and not of what kind."""

    text_tokens: int
    image_tokens: int = 0


class ImageUsage(msgspec.Struct, frozen=True):
    """Tokens read and written, as OpenAI's API for pictures has them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: TextAndImageTokens

    @classmethod
    def of(cls, usage: Usage) -> "ImageUsage":
        """Return what a model counted."""
        read = usage.prompt_tokens
        return cls(read, usage.completion_tokens, usage.total_tokens, TextAndImageTokens(read))


class ImageData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One picture: where it is or, as base64, itself, and the seed that makes it again."""

    url: str | None = None
    b64_json: bytes | None = None
    seed: int
    path: str | None = None


class ImagesAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer of all endpoints for pictures."""

    created: int
    data: list[ImageData]
    background: Literal["opaque", "auto"] = "auto"
    output_format: ImageFormat
    quality: ImageQuality
    size: str | None = None
    usage: ImageUsage | None = None
    warnings: list[str] | None = None


class Place(msgspec.Struct, frozen=True):
    """Where a picture was kept: its file, and the URL that answers with it."""

    path: str
    url: str


class Shelf:
    """Keeps the pictures of one request in the gallery."""

    def __init__(self, gallery: Gallery, model: str, url_of: Callable[[str], str]) -> None:
        self._gallery = gallery
        self._model = model
        self._url_of = url_of

    async def keep(self, pictures: Sequence[Picture]) -> list[Place]:
        """Write pictures to files. Raises StorageFailed."""
        return await asyncio.to_thread(self._keep, pictures)

    async def try_to_keep(self, pictures: Sequence[Picture]) -> list[Place | None]:
        """Write pictures to files; where that fails they have no place, and the log says why."""
        try:
            return list(await self.keep(pictures))
        except StorageFailed as error:
            log.warning("%s", error.message)
            return [None] * len(pictures)

    def _keep(self, pictures: Sequence[Picture]) -> list[Place]:
        paths = [self._gallery.save(picture, self._model) for picture in pictures]
        self._gallery.sweep()
        return [Place(str(path), self._url_of(path.name)) for path in paths]


async def whole_answer(
    request: ImageRequest, messages: Sequence[Message], shelf: Shelf, *, wants_url: bool
) -> ImagesAnswer:
    """Return the answer to a request. Raises StorageFailed where it is to have URLs."""
    pictures = [message for message in messages if isinstance(message, Picture)]
    places = list(await shelf.keep(pictures)) if wants_url else await shelf.try_to_keep(pictures)
    usage = next((message for message in messages if isinstance(message, Usage)), None)
    return ImagesAnswer(
        created=int(time.time()),
        data=[
            ImageData(
                url=place.url if place and wants_url else None,
                b64_json=None if wants_url else picture.data,
                seed=picture.seed,
                path=place.path if place else None,
            )
            for picture, place in zip(pictures, places, strict=True)
        ],
        background="opaque",
        output_format=request.format,
        quality=request.quality,
        size=size_of(pictures[0]) if pictures else None,
        usage=ImageUsage.of(usage) if usage else None,
        warnings=[message.text for message in messages if isinstance(message, Notice)] or None,
    )


def size_of(picture: Picture) -> str:
    """Return a picture's size as OpenAI writes it."""
    return f"{picture.width}x{picture.height}"


class ImageEvents:
    """Writes a model's events as OpenAI's; ``kind`` is image_generation or image_edit.

    The last picture waits for the end, because its event tells the usage of the request.
    """

    def __init__(self, kind: str, request: ImageRequest, shelf: Shelf) -> None:
        self._kind = kind
        self._request = request
        self._shelf = shelf
        self._left = request.n
        self._last: Picture | None = None
        self._usage: Usage | None = None
        self._warnings: list[str] = []

    async def around(self, frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """Yield the frames of a call, and at its end the last picture."""
        try:
            async for frame in frames:
                yield frame
        finally:
            await frames.aclose()
        if self._last is not None:
            yield await self._completed(self._last)

    async def write(self, batch: Sequence[Message]) -> bytes:
        """Return the events for some of the model's."""
        written = b""
        for message in batch:
            if isinstance(message, Step):
                written += comment(f"step {message.done} of {message.total}")
            elif isinstance(message, Preview):
                written += self._partial(message)
            elif isinstance(message, Picture):
                written += await self._picture(message)
            elif isinstance(message, Usage):
                self._usage = message
            elif isinstance(message, Notice):
                self._warnings.append(message.text)
        return written

    async def _picture(self, picture: Picture) -> bytes:
        self._left -= 1
        if self._left > 0:
            return await self._completed(picture)
        self._last = picture
        return b""

    def _partial(self, preview: Preview) -> bytes:
        size = self._request.size
        fields = {
            "b64_json": preview.data,
            "partial_image_index": preview.number,
            "size": f"{size[0]}x{size[1]}" if size else "auto",
            "index": preview.index,
        }
        return self._event("partial_image", fields)

    async def _completed(self, picture: Picture) -> bytes:
        (place,) = await self._shelf.try_to_keep([picture])
        usage = ImageUsage.of(self._usage) if self._usage and picture is self._last else None
        fields = {
            "b64_json": picture.data,
            "size": size_of(picture),
            "usage": usage,
            "index": picture.index,
            "seed": picture.seed,
            "url": place.url if place else None,
            "path": place.path if place else None,
            **({"warnings": self._warnings} if self._warnings else {}),
        }
        return self._event("completed", fields)

    def _event(self, name: str, fields: dict[str, Any]) -> bytes:
        full = f"{self._kind}.{name}"
        about = {
            "created_at": int(time.time()),
            "quality": self._request.quality,
            "background": "opaque",
            "output_format": self._request.format,
        }
        return data({"type": full, **fields, **about}, event=full)
