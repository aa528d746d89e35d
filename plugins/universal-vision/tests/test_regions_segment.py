"""Masks, as transformers' pipelines and processors give them."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch.nn.functional import interpolate
from transformers import AutoProcessor, CLIPSegForImageSegmentation, OneFormerForUniversalSegmentation, pipeline

from tiny.finding import noise, opened, pixels_of, segment
from universal_core import BadRequest, LoadFailed, Mask, UnsupportedField
from universal_vision.regions import segment as masks
from universal_vision.regions.segment import bounded

Folder = Callable[[str], Path]
WIDE, HIGH = noise(90, 50, seed=1), noise(44, 60, seed=2)
WORDS = ("a red dog", "cats")

# The pipeline uses a parameter of Pillow that is to go.
pytestmark = pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")


def assert_same(found: Sequence[Mask], expected: Sequence[dict[str, Any]]) -> None:
    assert [part.label for part in found] == [part["label"] for part in expected]
    for part, other in zip(found, expected, strict=True):
        assert part.score == (other["score"] if other["score"] is None else pytest.approx(other["score"], abs=1e-5))
        mask = pixels_of(part.png)
        assert set(numpy.unique(mask)) <= {0, 255}
        assert numpy.array_equal(mask, numpy.asarray(other["mask"]))


@pytest.mark.parametrize(
    ("name", "threshold"),
    [
        ("segformer", None),
        ("maskformer", 0.5),
        ("mask2former", None),
        ("mask2former", 0.2),
        ("eomt", None),
        ("detr_segmentation", None),
        ("detr_segmentation", 0.5),
    ],
)
def test_masks_are_those_of_the_pipeline(folder: Folder, name: str, threshold: float | None) -> None:
    path = folder(f"regions.{name}")
    run: Any = pipeline("image-segmentation", model=str(path), device="cpu")
    with opened(path) as model:
        result = segment(model, WIDE, HIGH, threshold=threshold)
    for image, found in zip((WIDE, HIGH), result.images, strict=True):
        assert_same(found, run(image, **({} if threshold is None else {"threshold": threshold})))
        assert all(pixels_of(part.png).shape == (image.height, image.width) for part in found)
    assert any(result.images)


def test_a_processor_that_cuts_pictures_into_pieces_fails_the_load(folder: Folder) -> None:
    with pytest.raises(LoadFailed, match=r"cutting_eomt.* into pieces"), opened(folder("regions.cutting_eomt")):
        pass


def test_a_oneformer_is_told_to_find_everything(folder: Folder) -> None:
    path = folder("regions.oneformer")
    with opened(path) as model:
        (found,) = segment(model, WIDE, threshold=0.2).images
    processor: Any = AutoProcessor.from_pretrained(path)
    inputs = processor(images=[WIDE], task_inputs=["panoptic"], return_tensors="pt")
    with torch.inference_mode():
        outputs = OneFormerForUniversalSegmentation.from_pretrained(path).eval()(**inputs)
    (expected,) = processor.post_process_panoptic_segmentation(
        outputs, threshold=0.2, overlap_mask_area_threshold=0.5, target_sizes=[(WIDE.height, WIDE.width)]
    )
    labels = {0: "cat", 1: "dog", 2: "car"}
    parts = [
        {
            "label": labels[part["label_id"]],
            "score": part["score"],
            "mask": (expected["segmentation"] == part["id"]).numpy() * 255,
        }
        for part in expected["segments_info"]
    ]
    assert parts
    assert_same(found, parts)


def test_a_oneformer_needs_no_names_of_kinds_from_the_hub(folder: Folder, tmp_path: Path) -> None:
    path = shutil.copytree(folder("regions.oneformer"), tmp_path / "published")
    settings = json.loads((path / "processor_config.json").read_text())["image_processor"]
    names = {"class_info_file": "ade20k_panoptic.json", "repo_path": "shi-labs/oneformer_demo"}
    (path / "processor_config.json").unlink()
    (path / "preprocessor_config.json").write_text(json.dumps({**settings, **names}))
    with opened(path) as model, opened(folder("regions.oneformer")) as other:
        assert segment(model, WIDE) == segment(other, WIDE)


def test_a_mask_is_made_of_what_each_label_describes(folder: Folder) -> None:
    path = folder("regions.clipseg")
    processor: Any = AutoProcessor.from_pretrained(path)
    inputs = processor(text=list(WORDS), images=[WIDE] * 2, padding=True, return_tensors="pt")
    with torch.inference_mode():
        likely = CLIPSegForImageSegmentation.from_pretrained(path).eval()(**inputs).logits.sigmoid()
    expected = interpolate(likely[None], size=(WIDE.height, WIDE.width), mode="bilinear")[0].numpy()
    with opened(path) as model:
        result = segment(model, WIDE, HIGH, labels=WORDS, threshold=0.6)
    parts = [
        {"label": label, "score": float(one[one > 0.6].mean()), "mask": (one > 0.6) * 255}
        for label, one in zip(WORDS, expected, strict=True)
    ]
    assert_same(result.images[0], parts)
    assert {pixels_of(part.png).shape for part in result.images[1]} == {(HIGH.height, HIGH.width)}


def test_a_label_that_is_nowhere_has_no_mask(folder: Folder) -> None:
    with opened(folder("regions.clipseg")) as model:
        assert segment(model, WIDE, labels=WORDS, threshold=1.0).images == ((),)


def test_a_segmenter_that_reads_words_needs_some(folder: Folder) -> None:
    with opened(folder("regions.clipseg")) as model, pytest.raises(BadRequest) as caught:
        segment(model, WIDE)
    assert caught.value.param == "candidate_labels"


def test_a_threshold_is_refused_where_there_are_no_scores(folder: Folder) -> None:
    with opened(folder("regions.segformer")) as model, pytest.raises(UnsupportedField) as caught:
        segment(model, WIDE, threshold=0.5)
    assert caught.value.param == "threshold"


def test_the_masks_of_a_large_picture_take_no_more_memory(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are computed for fewer pixels and enlarged, and are as large as the picture all the same."""
    large = noise(400, 300)
    with opened(folder("regions.segformer")) as model:
        (exact,) = segment(model, large).images
        monkeypatch.setattr(masks, "_MOST_BYTES", 4 * 3 * 200 * 150)
        (found,) = segment(model, large).images
    assert [part.label for part in found] == [part.label for part in exact]
    for part, other in zip(found, exact, strict=True):
        mask, whole = pixels_of(part.png), pixels_of(other.png)
        assert mask.shape == (300, 400)
        assert (mask == whole).mean() > 0.9
    assert sum(pixels_of(part.png) // 255 for part in found).tolist() == numpy.ones((300, 400)).tolist()


def test_the_size_that_masks_are_computed_in_keeps_the_shape() -> None:
    assert bounded((1000, 2000), 10) == (1000, 2000)
    height, width = bounded((3000, 6000), 150)
    assert width == pytest.approx(2 * height, abs=2)
    assert 0.99 < height * width * 150 * 4 / 2**30 <= 1
    assert bounded((1, 89_000_000), 10_000) == (1, width_of_one_row())


def width_of_one_row() -> int:
    return int(89_000_000 * (2**30 / (89_000_000 * 10_000 * 4)) ** 0.5)
