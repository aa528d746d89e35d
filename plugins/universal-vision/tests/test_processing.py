"""A picture is resized before the image processor sees it, and comes out the same to the last bit."""

from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from transformers import (
    BitImageProcessorPil,
    CLIPImageProcessorPil,
    ConvNextImageProcessorPil,
    DetrImageProcessorPil,
    ViTImageProcessorPil,
)

from universal_vision import processing
from universal_vision.processing import processed

SIZES = ((640, 480), (33, 70), (20, 20), (48, 500), (1, 3))
PROCESSORS = {
    "both sides": ViTImageProcessorPil(size={"height": 20, "width": 30}),
    "the short side": CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size={"height": 20, "width": 20}),
    "the short side, not cut": CLIPImageProcessorPil(size={"shortest_edge": 24}, do_center_crop=False),
    "at most the long side": BitImageProcessorPil(size={"shortest_edge": 24, "longest_edge": 40}, do_center_crop=False),
    "no resizing": ViTImageProcessorPil(do_resize=False),
    "a resizing of its own": ConvNextImageProcessorPil(size={"shortest_edge": 24}, crop_pct=0.875),
    "an order of its own": DetrImageProcessorPil(size={"shortest_edge": 24, "longest_edge": 40}),
}


def picture(size: tuple[int, int]) -> Image.Image:
    pixels = numpy.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), numpy.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pictures_come_out_as_from_the_processor_alone(name: str, size: tuple[int, int]) -> None:
    image = picture(size)
    ours = processed(PROCESSORS[name], image)
    theirs = PROCESSORS[name](images=image, return_tensors="pt")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_the_processor_gets_a_small_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    processor = ViTImageProcessorPil(size={"height": 20, "width": 30})
    whole = type(processor).process_image

    def look(self: Any, image: Any, **settings: Any) -> Any:
        seen.append(image.size)
        return whole(self, image, **settings)

    monkeypatch.setattr(ViTImageProcessorPil, "process_image", look)
    processing.processed(processor, picture((640, 480)))
    assert seen == [(30, 20)]
