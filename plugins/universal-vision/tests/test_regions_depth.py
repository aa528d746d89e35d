"""Depths, as transformers' pipeline gives them."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from transformers import pipeline

from tiny.finding import measure, noise, opened, pixels_of
from universal_core import BadRequest, DepthMap, InternalError
from universal_vision.regions.encoding import encode_depths
from universal_vision.regions.resizing import InterpolationMode, resize

Folder = Callable[[str], Path]
WIDE, HIGH = noise(90, 50, seed=1), noise(44, 60, seed=2)


def depths_of(map: DepthMap) -> Any:
    """Return the numbers that a map stands for."""
    return map.lowest + pixels_of(map.png).astype(float) / 65535 * (map.highest - map.lowest)


@pytest.mark.parametrize("name", ["dpt", "depth_anything", "glpn", "zoedepth"])
def test_depths_are_those_of_the_pipeline(folder: Folder, name: str) -> None:
    path = folder(f"regions.{name}")
    with opened(path) as model:
        result = measure(model, WIDE, HIGH)
    run: Any = pipeline("depth-estimation", model=str(path), device="cpu")
    for image, found in zip((WIDE, HIGH), result.images, strict=True):
        expected = run(image)["predicted_depth"].numpy()
        step = (found.highest - found.lowest) / 65535
        assert step > 0
        assert depths_of(found).shape == expected.shape == (image.height, image.width)
        assert found.lowest == pytest.approx(float(expected.min()), abs=step)
        assert found.highest == pytest.approx(float(expected.max()), abs=step)
        assert numpy.abs(depths_of(found) - expected).max() < 2 * step


def test_a_map_has_sixteen_bits() -> None:
    depths = numpy.linspace(-2, 6, 300, dtype=numpy.float32).reshape(15, 20)
    found = encode_depths(depths, (15, 20))
    image = Image.open(BytesIO(found.png))
    assert (image.format, image.mode, image.size) == ("PNG", "I;16", (20, 15))
    assert (found.lowest, found.highest) == (-2, 6)
    pixels = pixels_of(found.png)
    assert (pixels.min(), pixels.max()) == (0, 65535)
    assert numpy.abs(depths_of(found) - depths).max() <= 8 / 65535


def test_a_map_of_one_depth_is_black() -> None:
    found = encode_depths(numpy.full((4, 5), 7.5, numpy.float32), (4, 5))
    assert (found.lowest, found.highest) == (7.5, 7.5)
    assert not pixels_of(found.png).any()


@pytest.mark.parametrize("broken", [numpy.nan, numpy.inf])
def test_depths_that_are_no_numbers_are_an_error(broken: float) -> None:
    with pytest.raises(InternalError, match="float32"):
        encode_depths(numpy.array([[1.0, broken]], numpy.float32), (1, 2))


def test_a_picture_of_one_row_has_its_depths(folder: Folder) -> None:
    with opened(folder("regions.dpt")) as model:
        shapes = [pixels_of(found.png).shape for found in measure(model, noise(1, 60), noise(1, 1)).images]
    assert shapes == [(60, 1), (1, 1)]


def test_a_picture_that_the_processor_cannot_resize_is_refused(folder: Folder) -> None:
    with opened(folder("regions.glpn")) as model, pytest.raises(BadRequest, match="too small") as caught:
        measure(model, WIDE, noise(90, 20))
    assert caught.value.param == "images[1]"


@pytest.mark.parametrize("name", ["dpt", "glpn"])
def test_a_large_picture_is_made_smaller_only_where_nothing_else_does_so(folder: Folder, name: str) -> None:
    large = noise(300, 200)
    with opened(folder(f"regions.{name}")) as whole, opened(folder(f"regions.{name}"), max_pixels=4096) as bound:
        (exact,), (found,) = measure(whole, large).images, measure(bound, large).images
    assert pixels_of(found.png).shape == (200, 300)
    assert (found == exact) == (name == "dpt")


def test_resizing_is_that_of_an_image_library() -> None:
    """Pillow's bilinear filter looks at all pixels that become one, as torchvision's function does by default."""
    depths = numpy.random.default_rng(0).random((30, 40), numpy.float32)
    expected = numpy.asarray(Image.fromarray(depths).resize((11, 7), Image.Resampling.BILINEAR))
    found = resize(torch.tensor(depths)[None], [7, 11], InterpolationMode.BILINEAR)
    assert numpy.allclose(found[0].numpy(), expected, atol=1e-5)
    assert torch.equal(resize(torch.tensor(depths)[None, None], [7, 11], InterpolationMode.BILINEAR)[0], found)
