"""The bodies of requests for pictures, checked, as the requests that models get."""

import re
import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from universal_core.config import MediaConfig
from universal_core.errors import BadRequest, UnsupportedField
from universal_core.http import decode
from universal_core.messages import (
    EditImageRequest,
    GenerateImageRequest,
    ImageFormat,
    ImageQuality,
    Lora,
    VaryImageRequest,
)
from universal_core.openai.image_inputs import Image, Source, read_sources, source_of

MOST_PICTURES = 10
MOST_SOURCES = 16
LONGEST_PROMPT = 32000
"""OpenAI's limit, in characters."""

LONGEST_SIDE = 16383
"""Pixels; the formats of pictures end here or not far above."""

SEEDS = 2**32
_SIZE = re.compile(r"([1-9]\d{0,4})[xX]([1-9]\d{0,4})", re.ASCII)
_QUALITIES: dict[str | None, ImageQuality] = {"low": "low", "high": "high", "hd": "high"}

_REFUSED = {
    "style": "describe the style in the prompt",
    "complexity": "use quality or num_inference_steps",
    "frame_count": "ask for one picture, or for several with n",
    "frame_duration_ms": "ask for one picture, or for several with n",
    "svg": "ask for png, jpeg or webp",
    "markup": "use mask",
}
"""Fields of OpenAI's API that would change the answer, each with what to do instead."""


class LoraBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A low-rank adapter, with how strongly it works."""

    model: Annotated[str, Meta(min_length=1)]
    scale: float = 1.0
    weight_name: str | None = None


class ImageBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the bodies of all endpoints have in common; null means the same as leaving a field out."""

    prompt: Annotated[str, Meta(max_length=LONGEST_PROMPT)] | None = None
    model: str | None = None
    n: Annotated[int, Meta(ge=1, le=MOST_PICTURES)] | None = None
    size: str | None = None
    quality: Literal["auto", "low", "medium", "high", "standard", "hd"] | None = None
    num_inference_steps: Annotated[int, Meta(ge=1, le=1000)] | None = None
    guidance_scale: Annotated[float, Meta(ge=0, le=1000)] | None = None
    seed: int | None = None
    negative_prompt: Annotated[str, Meta(max_length=LONGEST_PROMPT)] | None = None
    scheduler: Annotated[str, Meta(min_length=1)] | None = None
    loras: list[str | LoraBody] | None = None
    clip_skip: Annotated[int, Meta(ge=0, le=100)] | None = None
    response_format: Literal["url", "b64_json"] | None = None
    output_format: ImageFormat | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    stream: bool | None = None
    partial_images: Annotated[int, Meta(ge=0, le=3)] | None = None
    background: Literal["auto", "opaque", "transparent"] | None = None
    # OpenAI's own services, which change nothing in a picture that is allowed.
    user: str | None = None
    safety_identifier: str | None = None
    moderation: Literal["auto", "low"] | None = None
    style: Any = None
    complexity: Any = None
    frame_count: Any = None
    frame_duration_ms: Any = None
    svg: Any = None
    markup: Any = None

    @property
    def wants_url(self) -> bool:
        """Whether the answer is to have URLs, and not the pictures themselves."""
        return self.response_format != "b64_json"

    def named(self, param: str) -> str:
        """Return the client's name for the field that a model calls ``param``."""
        return param

    def fields(self) -> dict[str, Any]:
        """Return the fields that all of the domain's requests have. Raises BadRequest, UnsupportedField."""
        self._refuse()
        number = self.n or 1
        return {
            "prompt": self.prompt or "",
            "n": number,
            "size": read_size(self.size),
            "seed": read_seed(self.seed, number),
            "num_inference_steps": self.num_inference_steps,
            "quality": _QUALITIES.get(self.quality, "medium"),
            "guidance_scale": self.guidance_scale,
            "negative_prompt": self.negative_prompt or None,
            "scheduler": self.scheduler,
            "loras": read_loras(self.loras or ()),
            "clip_skip": self.clip_skip or None,
            "format": self.output_format or "png",
            "compression": 100 if self.output_compression is None else self.output_compression,
            "previews": self.partial_images or 0,
        }

    def _refuse(self) -> None:
        for name, advice in _REFUSED.items():
            if getattr(self, name) is not None:
                raise UnsupportedField(f"{name}: not supported by this server; {advice}", param=name)
        if self.background == "transparent":
            raise UnsupportedField(
                'background: pictures are opaque here; send "opaque", or leave it out', param="background"
            )
        if self.partial_images and not self.stream:
            raise BadRequest("partial_images: only with stream true; set it or leave this out", param="partial_images")
        if self.output_compression not in (None, 100) and self.output_format in (None, "png"):
            raise BadRequest(
                "output_compression: png keeps every pixel; set output_format to jpeg or webp, or leave this out",
                param="output_compression",
            )


class GenerationBody(ImageBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of generations."""

    def to_request(self) -> GenerateImageRequest:
        """Return the domain's request. Raises BadRequest, UnsupportedField."""
        check_prompt(self.prompt)
        return GenerateImageRequest(**self.fields())


class EditBody(ImageBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of edits; ``images`` is what OpenAI's JSON calls the field ``image`` of its form."""

    image: Image | Annotated[list[Image], Meta(min_length=1, max_length=MOST_SOURCES)] | None = None
    images: Annotated[list[Image], Meta(min_length=1, max_length=MOST_SOURCES)] | None = None
    mask: Image | None = None
    strength: Annotated[float, Meta(ge=0, le=1)] | None = None
    input_fidelity: Literal["low", "high"] | None = None

    def sources(self) -> dict[str, Source]:
        """Return where each picture is, by the field that errors name, the mask last. Raises BadRequest."""
        if self.image is not None and self.images is not None:
            raise BadRequest("image and images mean the same; send one of them", param="images")
        name, given = ("image", self.image) if self.images is None else ("images", self.images)
        if given is None:
            raise BadRequest("image is required", param="image")
        if isinstance(given, list):
            named = {f"{name}[{place}]": image for place, image in enumerate(given)}
        else:
            named = {name: given}
        if self.mask is not None:
            named["mask"] = self.mask
        return {place: source_of(image, place) for place, image in named.items()}

    def named(self, param: str) -> str:
        """Return the client's name for a picture: models say ``image`` of one alone, and ``image[0]`` of several."""
        places = [place for place in self.sources() if place != "mask"]
        if len(places) == 1:
            return places[0] if param == "image" else param
        names = {f"image[{at}]": place for at, place in enumerate(places)}
        return {**names, "image": "image" if self.images is None else "images"}.get(param or "", param)

    def to_request(self, read: Sequence[bytes] = ()) -> EditImageRequest:
        """Return the domain's request; its pictures are empty unless they were ``read``, the mask last.

        Raises BadRequest, UnsupportedField.
        """
        check_prompt(self.prompt)
        if self.input_fidelity == "high":
            raise UnsupportedField(
                "input_fidelity: not supported by this server; use strength, which models have for the same end",
                param="input_fidelity",
            )
        *images, last = read or [b""] * len(self.sources())
        mask = last if self.mask is not None else None
        images += [last] if mask is None else []
        return EditImageRequest(images=tuple(images), mask=mask, strength=self.strength, **self.fields())

    async def complete(self, config: MediaConfig) -> EditImageRequest:
        """Return the domain's request with its pictures. Raises BadRequest, Forbidden, PayloadTooLarge."""
        return self.to_request(await read_sources(self.sources(), config))


class VariationBody(ImageBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of variations."""

    image: Image
    strength: Annotated[float, Meta(ge=0, le=1)] | None = None

    def to_request(self, image: bytes = b"") -> VaryImageRequest:
        """Return the domain's request with its picture. Raises BadRequest, UnsupportedField."""
        source_of(self.image, "image")
        strength = 0.75 if self.strength is None else self.strength
        return VaryImageRequest(image=image, strength=strength, **self.fields())

    async def complete(self, config: MediaConfig) -> VaryImageRequest:
        """Return the domain's request with its picture. Raises BadRequest, Forbidden, PayloadTooLarge."""
        (image,) = await read_sources({"image": source_of(self.image, "image")}, config)
        return self.to_request(image)


def check_prompt(prompt: str | None) -> None:
    """Raise BadRequest for a prompt that says nothing."""
    if not (prompt or "").strip():
        raise BadRequest("prompt: expected a description of the picture, got none", param="prompt")


def read_size(text: str | None) -> tuple[int, int] | None:
    """Return width and height, None where the model is to choose. Raises BadRequest."""
    if text in (None, "auto"):
        return None
    found = _SIZE.fullmatch(text or "")
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    if not found or max(size) > LONGEST_SIDE:
        raise BadRequest(
            f'size: expected "auto" or width and height such as "512x512", each up to {LONGEST_SIDE}, got {text!r}',
            param="size",
        )
    return size


def read_seed(seed: int | None, number: int) -> int:
    """Return the seed of the first of several pictures, one by chance where none is given. Raises BadRequest."""
    if seed is None:
        return secrets.randbelow(SEEDS - number + 1)
    if not 0 <= seed <= SEEDS - number:
        raise BadRequest(
            f"seed: expected 0 to {SEEDS - number} where n is {number}, got {seed}; leave it out for one by chance",
            param="seed",
        )
    return seed


def read_loras(given: Sequence[str | LoraBody]) -> tuple[Lora, ...]:
    """Return the adapters; a text is a name, or JSON as a form has it. Raises BadRequest."""
    found: list[Lora] = []
    for item in given:
        if isinstance(item, LoraBody):
            found.append(Lora(model=item.model, scale=item.scale, weight_name=item.weight_name))
        elif item.startswith("{"):
            found += read_loras([_decoded(item, LoraBody)])
        elif item.startswith("["):
            found += read_loras(_decoded(item, list[str | LoraBody]))
        elif item:
            found.append(Lora(model=item))
        else:
            raise BadRequest("loras: expected the name of an adapter, got an empty text", param="loras")
    return tuple(found)


def _decoded(text: str, type: Any) -> Any:
    try:
        return decode(text.encode(), type)
    except BadRequest as error:
        raise BadRequest(f"loras: {error.message}", param="loras") from None
