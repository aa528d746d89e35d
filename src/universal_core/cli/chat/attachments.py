"""Pictures and recordings of this machine, as parts of a message."""

import base64
import re
from pathlib import Path
from typing import Any

from universal_core.cli.client import CommandError

PICTURES = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".gif": "gif",
    ".bmp": "bmp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".avif": "avif",
}
RECORDINGS = (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".webm")

_SUFFIXES = "|".join(suffix[1:] for suffix in (*PICTURES, *RECORDINGS))
# A path in quotes, or one whose spaces have backslashes, as terminals write a file that is dropped on them.
_PATH = re.compile(
    rf""""(?P<double>[^"\n]+\.(?:{_SUFFIXES}))"|'(?P<single>[^'\n]+\.(?:{_SUFFIXES}))'|"""
    rf"""(?<!\S)(?P<bare>(?:\\.|[^\s"'\\])+\.(?:{_SUFFIXES}))(?=[\s,;:?!)]|\.?(?:\s|$)|$)""",
    re.IGNORECASE,
)

Part = dict[str, Any]


def read_part(path: Path) -> Part:
    """Return a file as the part of a message that has it. Raises CommandError."""
    suffix = path.suffix.lower()
    if suffix not in PICTURES and suffix not in RECORDINGS:
        known = ", ".join(sorted((*PICTURES, *RECORDINGS)))
        raise CommandError(f"{path} is neither a picture nor a recording by its name; known are {known}")
    try:
        data = base64.b64encode(path.expanduser().read_bytes()).decode()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    if suffix in PICTURES:
        return {"type": "image_url", "image_url": {"url": f"data:image/{PICTURES[suffix]};base64,{data}"}}
    return {"type": "input_audio", "input_audio": {"data": data, "format": suffix[1:]}}


def take_files(text: str) -> tuple[str, list[Path]]:
    """Return a text without the paths of pictures and recordings in it, and these paths.

    Taken are only files that are there, and written with a slash: ``cat.png`` alone is a word.
    """
    found: list[Path] = []

    def take(match: re.Match[str]) -> str:
        written = match["double"] or match["single"] or re.sub(r"\\(.)", r"\1", match["bare"])
        path = Path(written)
        if "/" not in written or not path.expanduser().is_file():
            return match[0]
        found.append(path)
        return ""

    left = _PATH.sub(take, text)
    return (re.sub(r"  +", " ", left).strip(), found) if found else (text, found)
