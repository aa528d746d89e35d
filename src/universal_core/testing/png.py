"""Pictures of one colour, or one a row, as PNG files, made with the standard library alone."""

import struct
import zlib
from collections.abc import Mapping, Sequence

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Bits of a value and the number of a kind of pixel, by the bytes of a pixel.
_KINDS = {1: (8, 0), 2: (16, 0), 3: (8, 2)}


def make_png(width: int, height: int, colour: bytes, texts: Mapping[str, str] | None = None) -> bytes:
    """Return the file of a picture, with ASCII texts beside it.

    ``colour`` is red, green and blue, or one byte of grey, or two (big-endian). The format is that of the PNG
    specification, https://www.w3.org/TR/png-3/.
    """
    return make_striped_png(width, [colour] * height, texts)


def make_striped_png(width: int, colours: Sequence[bytes], texts: Mapping[str, str] | None = None) -> bytes:
    """Return the file of a picture with a row of each of these colours, all of one kind."""
    bits, kind = _KINDS[len(colours[0])]
    header = struct.pack(">IIBBBBB", width, len(colours), bits, kind, 0, 0, 0)
    rows = b"".join(b"\0" + colour * width for colour in colours)
    words = [_chunk(b"tEXt", f"{key}\0{text}".encode("ascii")) for key, text in (texts or {}).items()]
    return b"".join(
        (_SIGNATURE, _chunk(b"IHDR", header), *words, _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b""))
    )


def texts_of(png: bytes) -> dict[str, str]:
    """Return the texts that stand in a PNG file beside its picture."""
    found, place = {}, len(_SIGNATURE)
    while place < len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        if kind == b"tEXt":
            key, _, text = png[place + 8 : place + 8 + length].decode("latin-1").partition("\0")
            found[key] = text
        place += length + 12
    return found


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
