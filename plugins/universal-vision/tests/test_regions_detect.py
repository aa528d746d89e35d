"""Boxes, as transformers' pipelines and processors give them."""

import asyncio
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoImageProcessor,
    AutoModelForZeroShotObjectDetection,
    AutoProcessor,
    DetrForSegmentation,
    pipeline,
)

from tiny.finding import detect, noise, opened
from tiny.media import encoded
from universal_core import BadRequest, ContextLengthExceeded, Detection, DetectRequest

Folder = Callable[[str], Path]
WIDE, HIGH = noise(90, 50, seed=1), noise(44, 60, seed=2)
WORDS = ("a red dog", "cats")


def rows(found: Sequence[Detection]) -> list[tuple[str, float, list[float]]]:
    return [(one.label, one.score, [one.box.xmin, one.box.ymin, one.box.xmax, one.box.ymax]) for one in found]


def by_score(found: Sequence[Any]) -> list[Any]:
    return sorted(found, key=lambda one: -one["score"])


def assert_near(found: Sequence[Detection], labels: Sequence[str], scores: Any, boxes: Any) -> None:
    """Compare with what a processor answered; its order is that of the model's queries."""
    assert len(found) == len(labels) > 0
    order = torch.argsort(torch.as_tensor(scores), descending=True, stable=True).tolist()
    told = rows(found)
    assert [label for label, _, _ in told] == [labels[place] for place in order]
    assert [score for _, score, _ in told] == pytest.approx([float(scores[place]) for place in order], abs=1e-5)
    expected = torch.as_tensor(boxes)[order]
    assert torch.allclose(torch.tensor([box for _, _, box in told]), expected, atol=1e-2)


@pytest.mark.parametrize("name", ["detr", "rt_detr", "yolos"])
@pytest.mark.parametrize("threshold", [0.1, None])
def test_boxes_are_those_of_the_pipeline(folder: Folder, name: str, threshold: float | None) -> None:
    path = folder(f"regions.{name}")
    run: Any = pipeline("object-detection", model=str(path), device="cpu")
    with opened(path) as model:
        result = detect(model, WIDE, HIGH, threshold=threshold)
    assert result.sizes == (WIDE.size, HIGH.size)
    for image, found in zip((WIDE, HIGH), result.images, strict=True):
        expected = by_score(run(image, **({} if threshold is None else {"threshold": threshold})))
        assert [one.label for one in found] == [one["label"] for one in expected]
        assert [one.score for one in found] == pytest.approx([one["score"] for one in expected], abs=1e-5)
        # The pipeline cuts off what is behind the point.
        boxes = [list(one["box"].values()) for one in expected]
        assert [[int(side) for side in box] for _, _, box in rows(found)] == boxes
    assert any(result.images)


def test_a_segmenter_finds_boxes_too(folder: Folder) -> None:
    path = folder("regions.detr_segmentation")
    with opened(path) as model:
        (found,) = detect(model, WIDE, threshold=0.2).images
    processor: Any = AutoImageProcessor.from_pretrained(path)
    reference = DetrForSegmentation.from_pretrained(path).eval()
    with torch.inference_mode():
        outputs = reference(**processor(images=[WIDE], return_tensors="pt"))
    (expected,) = processor.post_process_object_detection(outputs, 0.2, [(WIDE.height, WIDE.width)])
    labels = [reference.config.id2label[int(kind)] for kind in expected["labels"]]
    assert_near(found, labels, expected["scores"], expected["boxes"])


@pytest.mark.parametrize("name", ["owlvit", "grounding_dino"])
def test_what_words_describe_is_found_as_by_the_processor(folder: Folder, name: str) -> None:
    path = folder(f"regions.{name}")
    processor: Any = AutoProcessor.from_pretrained(path)
    reference = AutoModelForZeroShotObjectDetection.from_pretrained(path).eval()
    texts = [list(WORDS)] if name == "owlvit" else "a red dog. cats."
    inputs = processor(images=[WIDE], text=texts, return_tensors="pt")
    with torch.inference_mode():
        outputs = reference(**inputs)
    sizes = [(WIDE.height, WIDE.width)]
    with opened(path) as model:
        result = detect(model, WIDE, labels=WORDS, threshold=0.3)
    if name == "owlvit":
        (expected,) = processor.post_process_grounded_object_detection(
            outputs, threshold=0.3, target_sizes=sizes, text_labels=[list(WORDS)]
        )
        labels = expected["text_labels"]
        assert set(labels) == set(WORDS)
    else:
        (expected,) = processor.post_process_grounded_object_detection(outputs, threshold=0.3, target_sizes=sizes)
        labels = _nearest(outputs.logits[0].sigmoid(), inputs["input_ids"][0].tolist(), processor.tokenizer)
    assert_near(result.images[0], labels, expected["scores"], expected["boxes"])
    assert result.usage.prompt_tokens > 0


def _nearest(likely: Any, ids: list[int], tokenizer: Any) -> list[str]:
    """Return the label of each box above the threshold: of the words before and after the first full stop."""
    tokens = tokenizer.convert_ids_to_tokens(ids)
    stop = tokens.index(".")
    told = likely[likely.max(dim=-1).values > 0.3]
    # Behind the words are the last full stop, a token for the end, and padding.
    first, second = told[:, 1:stop].max(dim=-1).values, told[:, stop + 1 : len(tokens) - 2].max(dim=-1).values
    return [WORDS[0] if one >= other else WORDS[1] for one, other in zip(first, second, strict=True)]


def test_one_description_gives_what_the_pipeline_gives(folder: Folder) -> None:
    path = folder("regions.owlvit")
    run: Any = pipeline("zero-shot-object-detection", model=str(path), device="cpu")
    expected = run(WIDE, candidate_labels=["a red dog"])
    with opened(path) as model:
        (found,) = detect(model, WIDE, labels=("a red dog",)).images
    assert [one.score for one in found] == pytest.approx([one["score"] for one in expected], abs=1e-5)
    assert len(found) > 0


def test_a_box_has_the_label_as_the_client_wrote_it(folder: Folder) -> None:
    with opened(folder("regions.grounding_dino")) as model:
        (plain,) = detect(model, WIDE, labels=("a red dog", "cats"), threshold=0.1).images
        (odd,) = detect(model, WIDE, labels=(" A Red Dog. ", "CATS"), threshold=0.1).images
    assert {one.label for one in odd} <= {" A Red Dog. ", "CATS"}
    assert [one.label.strip(" .").lower() for one in odd] == [one.label for one in plain]
    assert [one.score for one in odd] == [one.score for one in plain]


@pytest.mark.parametrize("name", ["owlvit", "grounding_dino"])
def test_without_a_description_there_is_nothing_to_look_for(folder: Folder, name: str) -> None:
    with opened(folder(f"regions.{name}")) as model, pytest.raises(BadRequest, match="candidate_labels") as caught:
        detect(model, WIDE)
    assert caught.value.param == "candidate_labels"


@pytest.mark.parametrize(
    ("name", "labels", "param"),
    [
        ("owlvit", ("cat", "dog " * 40), "candidate_labels[1]"),
        ("grounding_dino", ("cat", "dog " * 40), "candidate_labels"),
    ],
)
def test_descriptions_that_are_too_long_are_refused(
    folder: Folder, name: str, labels: tuple[str, ...], param: str
) -> None:
    with opened(folder(f"regions.{name}")) as model, pytest.raises(ContextLengthExceeded, match="tokens") as caught:
        detect(model, WIDE, labels=labels)
    assert caught.value.param == param


@pytest.mark.parametrize("label", ["a. b", "\u200b", "..."])
def test_a_label_that_a_text_of_all_cannot_have_is_refused(folder: Folder, label: str) -> None:
    with opened(folder("regions.grounding_dino")) as model, pytest.raises(BadRequest) as caught:
        detect(model, WIDE, labels=("cat", label))
    assert caught.value.param == "candidate_labels[1]"
    assert caught.value.message.startswith("candidate_labels[1]: ")


def test_a_box_lies_in_the_picture_as_it_is_seen(folder: Folder) -> None:
    """A photograph that its EXIF data turns has the boxes of the turned one."""
    turned = WIDE.rotate(90, expand=True)
    exif = turned.getexif()
    exif[0x0112] = 6
    with opened(folder("regions.rt_detr")) as model:
        (upright,) = detect(model, WIDE, threshold=0.3).images
        data = encoded(turned, "PNG", exif=exif)
        found = asyncio.run(model.detect(DetectRequest(images=(data,), threshold=0.3)))
    assert rows(found.images[0]) == rows(upright)
    assert found.sizes == (WIDE.size,)


def test_nothing_is_said_about_torchvision(folder: Folder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with opened(folder("regions.detr")) as model:
            assert detect(model, WIDE, threshold=1.0).images == ((),)
