"""Finished pictures as files, with what made them in the metadata."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import msgspec
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from universal_core import ImageFormat

# Half the time of Pillow's usual 6, for files that are a hundredth larger.
_PNG_LEVEL = 4
_EXIF, _USER_COMMENT = 0x8769, 0x9286
# All of EXIF fits into one segment of a JPEG, which has 64 KiB.
_MOST_EXIF = 60_000


@dataclass(frozen=True, slots=True)
class Facts:
    """What made a picture; what was not asked for, or does not apply, is None."""

    model: str
    prompt: str
    negative_prompt: str | None
    steps: int
    scheduler: str
    guidance_scale: float | None
    seed: int
    size: tuple[int, int]
    strength: float | None = None
    clip_skip: int | None = None
    loras: tuple[tuple[str, float], ...] = ()

    def text(self) -> str:
        """Return the facts as text in the form of AUTOMATIC1111's web UI, which many programs read."""
        lines = [self.prompt]
        if self.negative_prompt:
            lines.append(f"Negative prompt: {self.negative_prompt}")
        rows = {
            "Steps": self.steps,
            "Sampler": self.scheduler,
            "CFG scale": self.guidance_scale,
            "Seed": self.seed,
            "Size": f"{self.size[0]}x{self.size[1]}",
            "Model": self.model,
            "Denoising strength": self.strength,
            # That program counts from the last layer, diffusers from the one before it.
            "Clip skip": None if self.clip_skip is None else self.clip_skip + 1,
            "Lora": " ".join(f"{name}:{scale:g}" for name, scale in self.loras) or None,
            "Version": "Universal Runtime",
        }
        return "\n".join([*lines, ", ".join(f"{key}: {value}" for key, value in rows.items() if value is not None)])

    def json(self) -> str:
        """Return the facts as a JSON object, under the names of the API's fields."""
        named: dict[str, Any] = {
            "model": self.model,
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "num_inference_steps": self.steps,
            "scheduler": self.scheduler,
            "guidance_scale": self.guidance_scale,
            "seed": self.seed,
            "size": f"{self.size[0]}x{self.size[1]}",
            "strength": self.strength,
            "clip_skip": self.clip_skip,
            "loras": [{"model": name, "scale": scale} for name, scale in self.loras] or None,
        }
        return msgspec.json.encode({key: value for key, value in named.items() if value is not None}).decode()


def encode(image: Image.Image, form: ImageFormat, compression: int, facts: Facts | None = None) -> bytes:
    """Return a picture as a file: the same bytes for the same pixels and facts.

    ``compression`` is the quality of JPEG and WebP, 0 to 100; PNG loses nothing.
    """
    file = BytesIO()
    if form == "png":
        image.save(file, "PNG", compress_level=_PNG_LEVEL, pnginfo=None if facts is None else _png_info(facts))
    else:
        # libjpeg takes a 0 for "the usual quality".
        exif = {} if facts is None else {"exif": _exif(facts)}
        image.convert("RGB").save(file, form.upper(), quality=max(1, compression), **exif)
    return file.getvalue()


def _png_info(facts: Facts) -> PngInfo:
    info = PngInfo()
    # Pillow writes tEXt, which all programs read, and iTXt where the text is beyond Latin-1.
    info.add_text("parameters", facts.text())
    info.add_text("request", facts.json())
    return info


def _exif(facts: Facts) -> Image.Exif:
    exif = Image.Exif()
    exif.get_ifd(_EXIF)[_USER_COMMENT] = b"UNICODE\0" + facts.text().encode("utf-16-be")[:_MOST_EXIF]
    return exif
