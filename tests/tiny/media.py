"""Pictures and recordings made by code, in the formats that people send."""

import io
import math
import struct
import wave
from typing import Any

from PIL import Image

RED, GREEN, BLUE = (200, 10, 10), (0, 250, 10), (10, 20, 230)


def picture(color: Any = RED, size: tuple[int, int] = (40, 30), *, mode: str = "RGB") -> Image.Image:
    """Return a picture of a colour with a dark corner, so that it shows how it is turned."""
    image = Image.new("RGB", size, color)
    image.paste((0, 0, 0), (0, 0, size[0] // 2, size[1] // 3))
    return image.convert(mode)


def encoded(image: Image.Image, name: str = "PNG", **options: Any) -> bytes:
    """Return a picture as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def recording(seconds: float = 0.5, pitch: float = 440.0, rate: int = 16000) -> bytes:
    """Return a tone as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        tone = (int(20000 * math.sin(2 * math.pi * pitch * place / rate)) for place in range(int(seconds * rate)))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in tone))
    return buffer.getvalue()
