"""Pictures and masks of a request, as pipelines take them."""

import numpy
import pytest
from PIL import Image

from tiny.drawings import file_of, hole, noise
from universal_core import BadRequest, EditImageRequest
from universal_diffusion.inputs import Inputs, read_inputs, read_original


def edit(image: Image.Image, mask: Image.Image | None = None) -> Inputs:
    return read_inputs(EditImageRequest(images=(file_of(image),), mask=None if mask is None else file_of(mask, "PNG")))


def see_through(base: Image.Image, where: Image.Image) -> Image.Image:
    """Return a picture that is transparent where a mask is white."""
    base = base.convert("RGBA")
    base.putalpha(Image.eval(where, lambda value: 255 - value))
    return base


def test_white_is_painted_where_a_mask_has_no_transparency() -> None:
    found = edit(noise(), hole())
    assert found.mask is not None
    assert numpy.array_equal(numpy.asarray(found.mask), numpy.asarray(hole()))


@pytest.mark.parametrize("mode", ["1", "RGB", "P", "CMYK"])
def test_black_and_white_may_come_in_any_mode(mode: str) -> None:
    form = "TIFF" if mode == "CMYK" else "PNG"
    request = EditImageRequest(images=(file_of(noise()),), mask=file_of(hole().convert(mode), form))
    found = read_inputs(request).mask
    assert found is not None
    assert numpy.array_equal(numpy.asarray(found) > 127, numpy.asarray(hole()) > 127)


def test_transparency_is_painted_where_a_mask_has_any() -> None:
    found = edit(noise(), see_through(Image.new("RGB", (32, 32), "white"), hole()))
    assert found.mask is not None
    assert numpy.array_equal(numpy.asarray(found.mask), numpy.asarray(hole()))


def test_without_a_mask_the_transparency_of_the_image_is_one() -> None:
    found = edit(see_through(noise(), hole()))
    assert found.images[0].mode == "RGB"
    assert found.mask is not None
    assert numpy.array_equal(numpy.asarray(found.mask), numpy.asarray(hole()))
    assert edit(noise().convert("RGBA")).mask is None


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(BadRequest, match="it has 48 x 48 pixels, and the image 32 x 32; both must have the same"):
        edit(noise(), hole(size=(48, 48)))


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        (Image.new("L", (32, 32), 0), "nothing in it is white"),
        (Image.new("RGBA", (32, 32), "white"), "nothing in it is transparent"),
    ],
    ids=["black", "opaque"],
)
def test_a_mask_with_nothing_to_paint_is_refused(mask: Image.Image, why: str) -> None:
    with pytest.raises(BadRequest, match=why) as caught:
        edit(noise(), mask)
    assert caught.value.param == "mask"


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "CMYK", "LA", "I;16"])
def test_pictures_of_every_mode_become_rgb(mode: str) -> None:
    image = Image.new(mode, (32, 32)) if mode == "I;16" else noise(mode="RGB" if mode == "LA" else mode)
    form = "TIFF" if mode == "CMYK" else "PNG"
    assert read_original(file_of(image.convert("LA") if mode == "LA" else image, form)).images[0].mode == "RGB"


def test_a_picture_is_turned_as_its_camera_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_original(file_of(noise(size=(48, 32)), "JPEG", exif=exif)).size == (32, 48)


def test_of_a_moving_picture_the_first_is_taken() -> None:
    frames = [noise(seed) for seed in range(3)]
    data = file_of(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert numpy.array_equal(numpy.asarray(read_original(data).images[0]), numpy.asarray(frames[0]))


@pytest.mark.parametrize("data", [b"", b"no picture", file_of(noise())[:400]], ids=["empty", "text", "cut off"])
def test_what_is_no_whole_picture_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        read_original(data)
    assert caught.value.param == "image"


def test_no_picture_at_all_is_refused() -> None:
    with pytest.raises(BadRequest, match="expected the picture to be edited, got none"):
        read_inputs(EditImageRequest(images=()))


def test_resizing_keeps_the_hard_edges_of_a_mask() -> None:
    found = Inputs((noise(),), hole()).resized((64, 48))
    assert found.size == (64, 48)
    assert found.mask is not None
    assert found.mask.size == (64, 48)
    assert set(numpy.unique(numpy.asarray(found.mask))) == {0, 255}
