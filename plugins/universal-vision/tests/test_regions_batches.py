"""Pictures of several requests go through the model together, and are answered as if they were alone."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tiny.finding import detect, files, measure, noise, opened, pixels_of, segment
from universal_core import BadRequest, DetectRequest, DetectResult
from universal_vision.regions import model as regions
from universal_vision.regions.model import RegionModel

Folder = Callable[[str], Path]
PICTURES = [noise(90, 50, 1), noise(44, 60, 2), noise(90, 50, 3), noise(50, 50, 4), noise(90, 50, 5)]
WORDS = ("a red dog", "cats")


@pytest.fixture
def batches() -> Iterator[list[int]]:
    """Return how many pictures the model has seen at once, each time."""
    seen: list[int] = []

    def note(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        # The first layer is the one that reads colors.
        if isinstance(module, torch.nn.Conv2d) and module.in_channels == 3:
            seen.append(len(inputs[0]))

    handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
    yield seen
    handle.remove()


def together(model: RegionModel, requests: Sequence[DetectRequest]) -> list[DetectResult | BaseException]:
    """Return what requests that come at the same time are answered."""

    async def run() -> list[DetectResult | BaseException]:
        return await asyncio.gather(*map(model.detect, requests), return_exceptions=True)

    return asyncio.run(run())


def assert_near(found: DetectResult | BaseException, expected: DetectResult) -> None:
    assert isinstance(found, DetectResult)
    assert found.sizes == expected.sizes
    for some, others in zip(found.images, expected.images, strict=True):
        assert len(some) == len(others)
        for one, other in zip(some, others, strict=True):
            assert one.label == other.label
            assert one.score == pytest.approx(other.score, abs=1e-4)
            assert one.box.xmin == pytest.approx(other.box.xmin, abs=0.05)
            assert one.box.ymax == pytest.approx(other.box.ymax, abs=0.05)


@pytest.mark.parametrize("name", ["detr", "rt_detr", "yolos", "owlvit", "grounding_dino"])
def test_boxes_of_several_pictures_are_those_of_each(folder: Folder, name: str, batches: list[int]) -> None:
    """Of a batch with several sizes the pictures of one size run together: padding would change what is found."""
    words: dict[str, Any] = {"labels": WORDS} if name in ("owlvit", "grounding_dino") else {}
    with opened(folder(f"regions.{name}")) as model:
        alone = [detect(model, picture, threshold=0.2, **words) for picture in PICTURES]
        batches.clear()
        found = detect(model, *PICTURES, threshold=0.2, **words)
    assert sum(batches) == len(PICTURES)
    for boxes, size, expected in zip(found.images, found.sizes, alone, strict=True):
        assert_near(DetectResult(images=(boxes,), sizes=(size,), usage=found.usage), expected)
    assert found.usage.prompt_tokens <= sum(one.usage.prompt_tokens for one in alone)


@pytest.mark.parametrize(
    "name", ["segformer", "mask2former", "maskformer", "oneformer", "detr_segmentation", "clipseg"]
)
def test_masks_of_several_pictures_are_those_of_each(folder: Folder, name: str) -> None:
    fields: dict[str, Any] = {"labels": WORDS} if name == "clipseg" else {}
    with opened(folder(f"regions.{name}")) as model:
        alone = [segment(model, picture, **fields).images[0] for picture in PICTURES]
        found = segment(model, *PICTURES, **fields).images
    for some, others in zip(found, alone, strict=True):
        assert [part.label for part in some] == [part.label for part in others]
        for one, other in zip(some, others, strict=True):
            assert (pixels_of(one.png) != pixels_of(other.png)).mean() < 0.01


@pytest.mark.parametrize("name", ["dpt", "depth_anything", "glpn", "zoedepth"])
def test_depths_of_several_pictures_are_those_of_each(folder: Folder, name: str) -> None:
    with opened(folder(f"regions.{name}")) as model:
        alone = [measure(model, picture).images[0] for picture in PICTURES]
        found = measure(model, *PICTURES).images
    for one, other in zip(found, alone, strict=True):
        span = other.highest - other.lowest
        assert one.lowest == pytest.approx(other.lowest, abs=1e-3 * span)
        assert one.highest == pytest.approx(other.highest, abs=1e-3 * span)
        assert abs(pixels_of(one.png).astype(int) - pixels_of(other.png)).max() < 200


def test_requests_share_batches_whatever_they_ask(folder: Folder, batches: list[int]) -> None:
    asked = [
        DetectRequest(images=files(*PICTURES[:2]), labels=WORDS, threshold=0.2),
        DetectRequest(images=files(PICTURES[2]), labels=("cats",), threshold=0.2),
        DetectRequest(images=files(PICTURES[3]), labels=WORDS, threshold=0.4),
        DetectRequest(images=files(*PICTURES[::-1]), labels=WORDS, threshold=0.2),
    ]
    with opened(folder("regions.owlvit")) as model:
        alone = [asyncio.run(model.detect(request)) for request in asked]
        batches.clear()
        found = together(model, asked)
    for one, other in zip(found, alone, strict=True):
        assert_near(one, other)
    assert sum(batches) == 9
    assert max(batches) > 1


def test_a_batch_has_no_more_pictures_than_allowed(folder: Folder, batches: list[int]) -> None:
    with opened(folder("regions.rt_detr"), batch_size=2) as model:
        detect(model, *PICTURES, *PICTURES)
    assert sum(batches) == 10
    assert max(batches) <= 2


def test_of_large_pictures_fewer_make_a_batch(
    folder: Folder, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The processor makes each picture 64 pixels wide and high.
    monkeypatch.setattr(regions, "_PIXELS_AT_ONCE", 64 * 64 * 3)
    with opened(folder("regions.rt_detr")) as model:
        detect(model, *PICTURES, *PICTURES)
    assert sum(batches) == 10
    assert max(batches) <= 3


def test_a_bad_picture_fails_its_request_alone(folder: Folder) -> None:
    good = DetectRequest(images=files(*PICTURES[:2]), threshold=0.2)
    bad = DetectRequest(images=(*files(PICTURES[0]), b"no picture"), threshold=0.2)
    with opened(folder("regions.rt_detr")) as model:
        expected = asyncio.run(model.detect(good))
        first, second, third = together(model, [good, bad, good])
    assert_near(first, expected)
    assert_near(third, expected)
    assert isinstance(second, BadRequest)
    assert second.param == "images[1]"
    assert second.message.startswith("images[1]: ")


def test_bad_words_fail_before_a_picture_is_read(folder: Folder, batches: list[int]) -> None:
    with opened(folder("regions.owlvit")) as model:
        (error,) = together(model, [DetectRequest(images=(b"no picture",), labels=("cat", "word " * 50))])
    assert isinstance(error, BadRequest)
    assert error.param == "candidate_labels[1]"
    assert not batches
