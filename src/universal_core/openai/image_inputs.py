"""Pictures as a body brings or names them, and the way from them to a model's answer: for every endpoint that looks."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeVar

import msgspec
from starlette.requests import Request

from universal_core.call import Call
from universal_core.config import MediaConfig
from universal_core.errors import BadRequest
from universal_core.http import collect, open_call, runtime_of
from universal_core.media import read_all
from universal_core.messages import Request as TaskRequest
from universal_core.messages import Result

Source = str | bytes
"""Where a picture is, or the picture itself."""

Found = TypeVar("Found", bound=Result)


class ImageUrl(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a picture is; how closely to look is the model's own choice."""

    url: str
    detail: Literal["auto"] | None = None


class ImageFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields by which objects of several APIs name a picture."""

    image_url: str | ImageUrl | None = None
    image: str | None = None

    def named(self) -> list[str]:
        """Return whatever names a picture here."""
        url = self.image_url.url if isinstance(self.image_url, ImageUrl) else self.image_url
        return [name for name in (url, self.image) if name is not None]


class ImageObject(ImageFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture as an object: a part as OpenAI's or Jina's, or a file that came with a form."""

    type: Literal["image_url", "input_image", "image"] | None = None
    data: bytes | None = None

    def source(self, place: str) -> Source:
        """Return where the picture is, or the picture. Raises BadRequest unless that is told once."""
        found: list[Source] = [*self.named(), *(() if self.data is None else (self.data,))]
        if len(found) != 1:
            raise BadRequest(f'{place}: expected a picture once, as {{"image_url": {{"url": …}}}}', param=place)
        return found[0]


Image = str | ImageObject


class InputPart(ImageFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text or a picture of a list of both."""

    type: Literal["text", "input_text", "image_url", "input_image", "image"] | None = None
    text: str | None = None

    def content(self, place: str) -> tuple[str, bool]:
        """Return the text, or where the picture is, and whether it is a picture.

        Raises BadRequest unless there is one of them, and of the type that is told.
        """
        images = self.named()
        if len(images) + (self.text is not None) != 1:
            raise BadRequest(
                f'{place}: expected one text or one picture, as {{"text": …}} or {{"image_url": {{"url": …}}}}',
                param=place,
            )
        if self.type is not None and self.type.endswith("text") is bool(images):
            raise BadRequest(f"{place}: the type {self.type} does not fit what is there", param=place)
        return (images[0], True) if images else (self.text or "", False)


class LooksAtImages(Protocol):
    """A request's body with pictures, which become a request to a model when they are read."""

    @property
    def model(self) -> str | None:
        """The model's name."""

    def sources(self) -> dict[str, Source]:
        """Return where each picture is, by the field that errors name. Raises BadRequest."""

    def to_request(self, images: Sequence[bytes]) -> TaskRequest:
        """Return the domain's request with these pictures, in the order of ``sources``. Raises BadRequest."""


def sources_of(images: Image | Sequence[Image] | None, name: str) -> dict[str, Source]:
    """Return where each picture of a field is, by its place. Raises BadRequest."""
    several = () if images is None else (images,) if isinstance(images, str | ImageObject) else images
    places = {f"{name}[{at}]": image for at, image in enumerate(several)}
    return {place: source_of(image, place) for place, image in places.items()}


def source_of(image: Image, place: str) -> Source:
    """Return where a picture is. Raises BadRequest that names ``place``."""
    return image if isinstance(image, str) else image.source(place)


async def look(request: Request, body: LooksAtImages, task: str, kind: type[Found]) -> tuple[Found, Call]:
    """Return what a model answers to a body, and its call; pictures are read only for a model that has the task."""
    sources = body.sources()

    async def complete() -> TaskRequest:
        return body.to_request(await read_sources(sources, runtime_of(request).config.media))

    # What is wrong with other fields is told before anything is read.
    unread = body.to_request([b""] * len(sources))
    call = await open_call(request, body.model, task, unread, complete)
    ((result,),) = await collect(request, [call])
    assert isinstance(result, kind)
    return result, call


async def read_sources(sources: Mapping[str, Source], config: MediaConfig) -> list[bytes]:
    """Return every picture's file, in their order. Raises BadRequest, Forbidden, PayloadTooLarge."""
    read = await read_all({place: source for place, source in sources.items() if isinstance(source, str)}, config)
    found = {place: source if isinstance(source, bytes) else read[place] for place, source in sources.items()}
    for place, data in found.items():
        if not data:
            raise BadRequest(f"{place}: expected a picture, got an empty file", param=place)
    return list(found.values())
