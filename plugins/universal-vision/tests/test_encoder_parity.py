"""Logits, scores and vectors are those of transformers called directly, and of its pipelines."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForZeroShotImageClassification,
    AutoTokenizer,
    pipeline,
)

from tiny.folder import info_of
from tiny.vision import photo
from universal_core import (
    ClassifyImageRequest,
    EmbedImageRequest,
    EmbedRequest,
    EmbedResult,
    MatchLabelsRequest,
    PredictionsResult,
)
from universal_vision.encoders.model import EncoderModel
from universal_vision.encoders.options import EncoderOptions

CLASSIFIERS = ("vit", "deit", "resnet", "convnext", "swin", "beit", "segformer")
MATCHERS = ("clip", "siglip", "siglip2", "align")
EXTRACTORS = ("dinov2", "dinov2_with_registers", "dinov3", "vit_headless")
PICTURES = (
    photo(),
    photo((0, 0, 250), (60, 90)),
    photo((10, 120, 40), (200, 70), format="JPEG"),
    photo((240, 240, 240), (33, 33), format="WEBP"),
)
LABELS = ("cat", "A Dog!", "the red car over there", "tree")


@pytest.fixture(scope="module")
def opened(folder: Callable[[str], Path]) -> Iterator[Callable[..., EncoderModel]]:
    with ExitStack() as stack:

        def load(name: str, **options: Any) -> EncoderModel:
            chosen = EncoderOptions(**{"device": "cpu", "dtype": "float32", "threads": 1, **options})
            return stack.enter_context(closing(EncoderModel(info_of(folder(f"vision.{name}")), chosen)))

        yield load


def answer(model: EncoderModel, task: str, *requests: Any) -> list[Any]:
    async def run() -> list[Any]:
        return await asyncio.gather(*(getattr(model, task)(request) for request in requests))

    return asyncio.run(run())


def images() -> list[Image.Image]:
    return [Image.open(BytesIO(data)).convert("RGB") for data in PICTURES]


def scores(result: PredictionsResult) -> list[dict[str, float]]:
    return [{one.label: one.score for one in picture} for picture in result.images]


def vectors(result: EmbedResult) -> Any:
    return numpy.frombuffer(result.vectors, "<f4").reshape(-1, result.dimensions)


def close(ours: Any, theirs: Any) -> bool:
    return bool(numpy.abs(numpy.asarray(ours) - numpy.asarray(theirs)).max() < 1e-5)


def direct(path: Path, kind: Any) -> tuple[Any, Any]:
    return AutoImageProcessor.from_pretrained(path), kind.from_pretrained(path).eval()


@pytest.mark.parametrize("name", CLASSIFIERS)
@torch.inference_mode()
def test_a_classifier_has_the_probabilities_of_the_library(name: str, folder: Any, opened: Any) -> None:
    processor, model = direct(folder(f"vision.{name}"), AutoModelForImageClassification)
    logits = model(**processor(images=images(), return_tensors="pt")).logits
    expected = [dict(zip(model.config.id2label.values(), row, strict=True)) for row in logits.softmax(-1).tolist()]
    (result,) = answer(opened(name), "classify_image", ClassifyImageRequest(images=PICTURES, top_k=99))
    for ours, theirs in zip(scores(result), expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
        assert list(ours) == sorted(ours, key=lambda label: -ours[label])
    assert len({round(ours["cat"], 4) for ours in scores(result)}) == len(PICTURES), "pictures must differ"


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_several_pictures_at_once_are_classified_as_one_by_one(name: str, opened: Any) -> None:
    model = opened(name)
    (together,) = answer(model, "classify_image", ClassifyImageRequest(images=PICTURES, top_k=5))
    for place, data in enumerate(PICTURES):
        (alone,) = answer(model, "classify_image", ClassifyImageRequest(images=(data,), top_k=5))
        assert scores(alone)[0] == pytest.approx(scores(together)[place], abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, "single"),
        ({"problem_type": "multi_label_classification"}, "multi"),
        ({"problem_type": "regression"}, "regression"),
        ({"id2label": {0: "nsfw"}, "label2id": {"nsfw": 0}}, "one label"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_scores_are_those_of_the_librarys_pipeline(changes: Any, problem: str, tmp_path: Path) -> None:
    from tiny.vision import make_vit

    path = make_vit(tmp_path, **changes)
    theirs = pipeline("image-classification", model=str(path), device="cpu")(images(), top_k=3)
    with closing(EncoderModel(info_of(path), EncoderOptions(device="cpu"))) as model:
        (result,) = answer(model, "classify_image", ClassifyImageRequest(images=PICTURES, top_k=3))
    for ours, expected in zip(result.images, theirs, strict=True):
        assert [one.label for one in ours] == [one["label"] for one in expected]
        assert [one.score for one in ours] == pytest.approx([one["score"] for one in expected], abs=1e-5)


@pytest.mark.parametrize("name", MATCHERS)
@pytest.mark.parametrize("template", [None, "{}", "a {} or so"])
def test_labels_match_as_in_the_librarys_pipeline(name: str, template: str | None, folder: Any, opened: Any) -> None:
    theirs = pipeline("zero-shot-image-classification", model=str(folder(f"vision.{name}")), device="cpu")
    more = {} if template is None else {"hypothesis_template": template}
    request = MatchLabelsRequest(images=PICTURES, labels=LABELS, hypothesis_template=template)
    (result,) = answer(opened(name), "match_labels", request)
    for ours, image in zip(result.images, images(), strict=True):
        expected = {one["label"]: one["score"] for one in theirs(image, candidate_labels=list(LABELS), **more)}
        assert {one.label: one.score for one in ours} == pytest.approx(expected, abs=1e-5)
        assert [one.score for one in ours] == sorted((one.score for one in ours), reverse=True)


@pytest.mark.parametrize("name", MATCHERS)
@torch.inference_mode()
def test_texts_and_pictures_are_in_the_librarys_space(name: str, folder: Any, opened: Any) -> None:
    processor, model = direct(folder(f"vision.{name}"), AutoModelForZeroShotImageClassification)
    words = AutoTokenizer.from_pretrained(folder(f"vision.{name}"))
    padding = {"padding": "max_length", "max_length": 64} if "siglip" in name else {"padding": True}
    theirs = torch.cat(
        [
            model.get_text_features(**words(list(LABELS), return_tensors="pt", **padding)).pooler_output,
            model.get_image_features(**processor(images=images(), return_tensors="pt")).pooler_output,
        ]
    )
    ours = opened(name)
    (plain,) = answer(ours, "embed_image", EmbedImageRequest(input=(*LABELS, *PICTURES), normalize=False))
    assert close(vectors(plain), theirs)
    (normalized,) = answer(ours, "embed_image", EmbedImageRequest(input=(*LABELS, *PICTURES)))
    assert close(vectors(normalized), torch.nn.functional.normalize(theirs, dim=-1))
    (texts,) = answer(ours, "embed", EmbedRequest(input=LABELS))
    assert numpy.array_equal(vectors(texts), vectors(normalized)[: len(LABELS)])


@pytest.mark.parametrize("name", EXTRACTORS)
def test_an_encoder_has_the_pooled_vectors_of_the_librarys_pipeline(name: str, folder: Any, opened: Any) -> None:
    theirs = pipeline("image-feature-extraction", model=str(folder(f"vision.{name}")), device="cpu", pool=True)
    expected = [theirs(image)[0] for image in images()]
    (result,) = answer(opened(name), "embed_image", EmbedImageRequest(input=PICTURES, normalize=False))
    assert close(vectors(result), expected)


@pytest.mark.parametrize("name", CLASSIFIERS)
@torch.inference_mode()
def test_a_classifier_embeds_with_what_is_under_its_head(name: str, folder: Any, opened: Any) -> None:
    processor, model = direct(folder(f"vision.{name}"), AutoModelForImageClassification)
    output = model.base_model(**processor(images=images(), return_tensors="pt"))
    expected = getattr(output, "pooler_output", None)
    if expected is None:
        hidden = output.last_hidden_state
        expected = hidden.mean((2, 3)) if hidden.dim() == 4 else hidden[:, 0]
    (result,) = answer(opened(name), "embed_image", EmbedImageRequest(input=PICTURES, normalize=False))
    assert close(vectors(result), expected.flatten(1))


@pytest.mark.parametrize(
    ("name", "skipped"), [("dinov2", 1), ("dinov2_with_registers", 5), ("dinov3", 5), ("vit_without_pooler", 1)]
)
@torch.inference_mode()
def test_the_pooling_can_be_chosen(name: str, skipped: int, folder: Any, opened: Any) -> None:
    processor, model = direct(folder(f"vision.{name}"), AutoModel)
    hidden = model(**processor(images=images(), return_tensors="pt")).last_hidden_state
    request = EmbedImageRequest(input=PICTURES, normalize=False)
    (cls,) = answer(opened(name, pooling="cls"), "embed_image", request)
    assert close(vectors(cls), hidden[:, 0])
    (mean,) = answer(opened(name, pooling="mean"), "embed_image", request)
    assert close(vectors(mean), hidden[:, skipped:].mean(1))


@torch.inference_mode()
def test_a_pooler_that_the_files_lack_is_not_used(folder: Any, opened: Any) -> None:
    processor, model = direct(folder("vision.vit_without_pooler"), AutoModel)
    hidden = model(**processor(images=images(), return_tensors="pt")).last_hidden_state
    (result,) = answer(opened("vit_without_pooler"), "embed_image", EmbedImageRequest(input=PICTURES, normalize=False))
    assert close(vectors(result), hidden[:, 0])


def test_bfloat16_is_near(opened: Any) -> None:
    request = EmbedImageRequest(input=PICTURES)
    (exact,), (near,) = (
        answer(opened("clip", dtype=dtype), "embed_image", request) for dtype in ("float32", "bfloat16")
    )
    assert ((vectors(exact) * vectors(near)).sum(1) > 0.99).all()
