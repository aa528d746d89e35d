"""Pictures of every kind become the right pixels, or an answer that says what is wrong."""

import io
import struct
import zlib
from contextlib import suppress
from typing import Any

import numpy
import pytest
from PIL import Image

from tiny.media import GREEN, RED, encoded, picture
from universal_core import BadRequest
from universal_core.pictures import MOST_PIXELS, open_image, read_image, read_picture

WHITE = (255, 255, 255)

# Pillow warns of damage that it reads over.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def pixels(data: bytes) -> Any:
    found = read_picture(data, "picture")
    assert found.dtype == numpy.uint8
    assert found.shape[2] == 3
    return found


def same(image: Image.Image) -> Any:
    return numpy.asarray(image.convert("RGB"))


def png_of_size(width: int, height: int) -> bytes:
    """Return a PNG file that says how large it is, with next to nothing in it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "ICO"])
def test_formats_without_loss_keep_every_pixel(name: str) -> None:
    image = picture(size=(40, 40))
    options = {"lossless": True} if name == "WEBP" else {"sizes": [(40, 40)]} if name == "ICO" else {}
    assert (pixels(encoded(image, name, **options)) == same(image)).all()


@pytest.mark.parametrize(
    ("name", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("AVIF", "RGB"), ("WEBP", "RGB")]
)
def test_formats_with_loss_come_near(name: str, mode: str) -> None:
    image = picture(mode=mode)
    found = pixels(encoded(image, name, quality=95)).astype(int)
    assert abs(found - same(image)).mean() < 8


@pytest.mark.parametrize(("name", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_data_says(orientation: int, name: str, options: dict[str, Any]) -> None:
    upright = picture()
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turns[orientation]) if orientation in turns else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = read_image(encoded(stored, name, exif=exif, **options), "picture")
    assert (same(found) == same(upright)).all()
    assert (same(found.resize((20, 15), Image.Resampling.NEAREST)) == same(upright)[1::2, 1::2]).all()


def test_exif_data_that_is_damaged_does_not_matter() -> None:
    image = picture()
    assert (pixels(encoded(image, "PNG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01")) == same(image)).all()


def test_what_is_transparent_stands_on_white() -> None:
    image = picture(mode="RGBA")
    image.putalpha(Image.new("L", image.size, 128))
    image.paste((0, 0, 0, 0), (30, 20, 40, 30))
    found = pixels(encoded(image))
    assert tuple(found[25, 35]) == WHITE
    assert abs(found[25, 5].astype(int) - (numpy.array(RED) + 255) // 2).max() <= 2


@pytest.mark.parametrize("mode", ["P", "1", "L", "LA", "RGBA"])
def test_every_kind_of_pixel_becomes_red_green_and_blue(mode: str) -> None:
    image = picture().convert(mode)
    assert (pixels(encoded(image)) == same(image)).all()


def test_a_palette_may_have_a_transparent_colour() -> None:
    image = picture(GREEN).convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    index = image.getpixel((0, 0))
    found = pixels(encoded(image, transparency=index))
    assert tuple(found[0, 0]) == WHITE
    assert abs(found[-1, -1].astype(int) - numpy.array(GREEN)).max() <= 3


def test_sixteen_bits_of_grey_keep_their_shades() -> None:
    grey = numpy.linspace(0, 65535, 40 * 30).astype(numpy.uint16).reshape(30, 40)
    found = pixels(encoded(Image.fromarray(grey)))
    assert (found[:, :, 0] == grey >> 8).all()


def test_of_pictures_that_move_the_first_is_taken() -> None:
    first, second = picture(RED).quantize(8), picture(GREEN).quantize(8)
    for name in ("GIF", "PNG", "TIFF"):
        data = encoded(first, name, save_all=True, append_images=[second])
        assert (pixels(data) == same(first)).all()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "got an empty file"),
        (b"<html>not found</html>", "got 22 bytes that are none"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "expected a picture"),
        (encoded(picture())[:-60], "damaged or not whole"),
        (encoded(picture(size=(400, 300)), "JPEG")[:-900], "damaged or not whole"),
        (encoded(picture(), "GIF")[:60], "damaged or not whole"),
        (encoded(picture(), "WEBP")[:60], "damaged or not whole|expected a picture"),
        (encoded(picture(), "TIFF")[:100], "damaged or not whole|expected a picture"),
        (png_of_size(60_000, 60_000), f"60000 x 60000 pixels, and {MOST_PIXELS} are allowed"),
        (png_of_size(20_000, 20_000), "20000 x 20000 pixels"),
        (png_of_size(2001, 10), "at most 200 times as long"),
        (png_of_size(40, 30), "damaged or not whole"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_is_wrong(data: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as caught:
        read_picture(data, "messages[0].content[0].image_url.url")
    assert caught.value.param == "messages[0].content[0].image_url.url"


def test_no_damage_at_any_place_does_harm() -> None:
    """Every outcome is pixels or a refusal, whatever bytes are wrong."""
    for name in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "ICO", "AVIF", "PPM"):
        data = encoded(picture(size=(16, 16)), name)
        for place in range(0, len(data), max(1, len(data) // 40)):
            damaged = bytearray(data)
            damaged[place] ^= 0xFF
            with suppress(BadRequest):
                pixels(bytes(damaged))


@pytest.mark.parametrize(("name", "options"), [("JPEG", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_pixels_that_are_right_already_are_not_copied(name: str, options: dict[str, Any], monkeypatch: Any) -> None:
    """A photograph costs its decoding, and no more."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the pixels were copied")

    data, expected = (
        encoded(picture(), name, **options),
        same(Image.open(io.BytesIO(encoded(picture(), name, **options)))),
    )
    for method in ("copy", "convert", "transpose"):
        monkeypatch.setattr(Image.Image, method, refuse)
    found = read_image(data, "picture"), open_image(data, "picture")
    monkeypatch.undo()
    assert all((same(image) == expected).all() for image in found)


def test_a_large_picture_is_read() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4000, 3000), RED).save(buffer, "JPEG")
    assert pixels(buffer.getvalue()).shape == (3000, 4000, 3)
