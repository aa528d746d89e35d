"""Making pictures: the requests of ``generate_image``, ``edit_image`` and ``vary_image``, and their events."""

from typing import ClassVar, Literal

import msgspec

from universal_core.messages.message import Event, Request

ImageFormat = Literal["png", "jpeg", "webp"]
ImageQuality = Literal["low", "medium", "high"]


class Lora(msgspec.Struct, frozen=True, kw_only=True):
    """A low-rank adapter by its repository or path, and how strongly it works; ``weight_name`` names its file."""

    model: str
    scale: float = 1.0
    weight_name: str | None = None


class ImageRequest(Request, frozen=True, kw_only=True):
    """What all three tasks have in common; None leaves a choice to the model.

    The answer is Steps as it goes on, the last of them among these, and Previews where they are wanted, a Picture for
    each of ``n``, Notices wherever there are any, and at most one Usage at the end. ``size`` is width and height in
    pixels. ``seed`` is that of the first picture, and each further one has the next; the server always gives one.
    ``quality`` stands for fewer or more steps than is usual for the model. ``previews`` is how many unfinished pictures
    are wanted while each is made. ``compression`` is OpenAI's output_compression, 0 to 100: the quality of JPEG and
    WebP.
    """

    tells_progress: ClassVar[bool] = True
    basic: ClassVar[frozenset[str]] = frozenset(
        {"prompt", "n", "size", "seed", "num_inference_steps", "quality", "format", "compression", "previews"}
    )

    prompt: str = ""
    n: int = 1
    size: tuple[int, int] | None = None
    seed: int | None = None
    num_inference_steps: int | None = None
    quality: ImageQuality = "medium"
    guidance_scale: float | None = None
    negative_prompt: str | None = None
    scheduler: str | None = None
    loras: tuple[Lora, ...] = ()
    clip_skip: int | None = None
    format: ImageFormat = "png"
    compression: int = 100
    previews: int = 0


class GenerateImageRequest(ImageRequest, frozen=True, kw_only=True):
    """Make pictures of what a prompt describes."""


class EditImageRequest(ImageRequest, frozen=True, kw_only=True):
    """Change pictures as a prompt says.

    ``images`` are files of any format. ``mask`` says where: what is transparent in it, as OpenAI has it, or white in
    one without transparency, is painted anew. ``strength`` is how far the result may go from what is there, 0 to 1.
    """

    basic: ClassVar[frozenset[str]] = ImageRequest.basic | {"images"}

    images: tuple[bytes, ...]
    mask: bytes | None = None
    strength: float | None = None


class VaryImageRequest(ImageRequest, frozen=True, kw_only=True):
    """Make pictures that are like another one; ``strength`` is how far they may go from it, 0 to 1."""

    basic: ClassVar[frozenset[str]] = ImageRequest.basic | {"image", "strength"}

    image: bytes
    strength: float = 0.75


class Step(Event, frozen=True, kw_only=True):
    """How far a request has come: ``done`` steps of ``total``, those of its ``n`` pictures taken together."""

    done: int
    total: int


class Notice(Event, frozen=True, kw_only=True):
    """What a client should know of the pictures that it gets, as a sentence: they are not quite what was asked for."""

    text: str


class Preview(Event, frozen=True, kw_only=True):
    """An unfinished picture, as a file in the format that was asked for.

    It is the ``number``-th (from 0) of picture ``index`` of the request.
    """

    data: bytes
    index: int = 0
    number: int = 0


class Picture(Event, frozen=True, kw_only=True):
    """A finished picture, as a file in the format that was asked for, with what made it in the metadata of a PNG."""

    data: bytes
    format: ImageFormat
    width: int
    height: int
    seed: int
    index: int = 0
