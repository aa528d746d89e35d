"""The pictures of a conversation: where they are in the request, and how large the model sees them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

from PIL import Image

from universal_core import AudioPart, ChatMessage, ImagePart, UnsupportedField
from universal_core.pictures import read_image

LOW_SIDE = 512
"""The longest side of a picture of low detail, in pixels."""


@dataclass(frozen=True, slots=True)
class Given:
    """A picture of a request: its part, and the parameter that errors name."""

    part: ImagePart
    param: str


def pictures_in(messages: Sequence[ChatMessage]) -> list[Given]:
    """Return the pictures of a conversation in their order. Raises UnsupportedField for a recording."""
    return list(_pictures_in(messages))


def seen(given: Given, most: int | None) -> Image.Image:
    """Return a picture in RGB, as large as its detail and ``most`` pixels allow. Raises BadRequest."""
    image = read_image(given.part.data, given.param)
    share = LOW_SIDE / max(image.size) if given.part.detail == "low" else 1.0
    if most is not None:
        share = min(share, sqrt(most / (image.width * image.height)))
    if share >= 1.0:
        return image
    return image.resize((max(1, int(image.width * share)), max(1, int(image.height * share))), Image.Resampling.BICUBIC)


def _pictures_in(messages: Sequence[ChatMessage]) -> Iterator[Given]:
    for position, message in enumerate(messages):
        for place, part in enumerate(message.content):
            where = f"messages[{position}].content[{place}]"
            if isinstance(part, ImagePart):
                yield Given(part, f"{where}.image_url.url")
            elif isinstance(part, AudioPart):
                where += ".input_audio"
                raise UnsupportedField(f"{where}: the model sees and does not hear; leave it out", param=where)
