"""Requests of the vision backend: what is refused, what is counted, and what runs together."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from tiny.folder import info_of
from tiny.vision import photo
from universal_core import (
    BadRequest,
    ClassifyImageRequest,
    ContextLengthExceeded,
    EmbedImageRequest,
    EmbedRequest,
    EmbedResult,
    LoadFailed,
    MatchLabelsRequest,
)
from universal_vision.encoders.matching import Kept
from universal_vision.encoders.model import EncoderModel
from universal_vision.encoders.options import EncoderOptions
from universal_vision.encoders.running import Row, Runner

Folder = Callable[[str], Path]
RED, BLUE = photo(), photo((0, 0, 250), (60, 90))


def open_model(path: Path, **options: Any) -> EncoderModel:
    return EncoderModel(info_of(path), EncoderOptions(**{"device": "cpu", "threads": 1, **options}))


@pytest.fixture(scope="module")
def clip(folder: Folder) -> Iterator[EncoderModel]:
    with closing(open_model(folder("vision.clip"))) as model:
        yield model


@pytest.fixture(scope="module")
def vit(folder: Folder) -> Iterator[EncoderModel]:
    with closing(open_model(folder("vision.vit"))) as model:
        yield model


def answer(model: EncoderModel, task: str, *requests: Any) -> list[Any]:
    async def run() -> list[Any]:
        return await asyncio.gather(*(getattr(model, task)(one) for one in requests), return_exceptions=True)

    return asyncio.run(run())


def vectors(result: EmbedResult) -> Any:
    return numpy.frombuffer(result.vectors, "<f4").reshape(-1, result.dimensions)


def test_as_many_labels_come_as_were_asked_for(vit: EncoderModel) -> None:
    for top_k, expected in ((1, 1), (3, 3), (99, 5)):
        (result,) = answer(vit, "classify_image", ClassifyImageRequest(images=(RED, BLUE), top_k=top_k))
        assert [len(picture) for picture in result.images] == [expected] * 2


def test_one_bad_picture_fails_its_request_alone(vit: EncoderModel) -> None:
    good, bad, also = answer(
        vit,
        "classify_image",
        ClassifyImageRequest(images=(RED,)),
        ClassifyImageRequest(images=(RED, b"no picture", BLUE)),
        ClassifyImageRequest(images=(BLUE,)),
    )
    assert isinstance(bad, BadRequest)
    assert bad.param == "images[1]"
    assert str(bad).startswith("images[1]")
    (alone,) = answer(vit, "classify_image", ClassifyImageRequest(images=(RED,)))
    assert good.images[0][0].label == alone.images[0][0].label
    assert len(also.images) == 1


def test_pictures_of_several_requests_run_together(vit: EncoderModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    whole = Runner.__call__

    def count(self: Runner, work: Any) -> Any:
        sizes.append(len(work))
        return whole(self, work)

    monkeypatch.setattr(vit._batches._batcher, "_method", lambda work: count(vit._network.run, work))
    requests = [ClassifyImageRequest(images=(RED, BLUE)) for _ in range(12)]
    assert len(answer(vit, "classify_image", *requests)) == 12
    assert sum(sizes) == 24
    assert max(sizes) == 8, "a batch is of at most eight pictures on a CPU"


def test_batch_size_is_the_most_that_runs_together(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_model(folder("vision.vit"), batch_size=3)) as model:
        sizes: list[int] = []
        run = model._network.run
        monkeypatch.setattr(model._batches._batcher, "_method", lambda work: (sizes.append(len(work)), run(work))[1])
        answer(model, "classify_image", ClassifyImageRequest(images=(RED,) * 10))
    assert sum(sizes) == 10
    assert max(sizes) <= 3


def test_a_request_that_is_cancelled_leaves_the_model_working(vit: EncoderModel) -> None:
    async def run() -> Any:
        gone = asyncio.create_task(vit.classify_image(ClassifyImageRequest(images=(RED,) * 30)))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await vit.classify_image(ClassifyImageRequest(images=(BLUE,)))

    assert len(asyncio.run(run()).images) == 1


def test_usage_counts_patches_and_tokens(clip: EncoderModel, vit: EncoderModel, folder: Folder) -> None:
    (classified,) = answer(vit, "classify_image", ClassifyImageRequest(images=(RED, BLUE)))
    assert classified.usage.prompt_tokens == 2 * 16
    (texts,) = answer(clip, "embed", EmbedRequest(input=("cat",)))
    (both,) = answer(clip, "embed_image", EmbedImageRequest(input=("cat", RED)))
    assert both.usage.prompt_tokens == texts.usage.prompt_tokens + 16
    (matched,) = answer(
        clip, "match_labels", MatchLabelsRequest(images=(RED,), labels=("cat",), hypothesis_template="{}")
    )
    assert matched.usage == both.usage
    with closing(open_model(folder("vision.resnet"))) as resnet:
        (plain,) = answer(resnet, "classify_image", ClassifyImageRequest(images=(RED,)))
    assert plain.usage.prompt_tokens == 0


def test_padding_is_not_counted(folder: Folder) -> None:
    with closing(open_model(folder("vision.siglip"))) as siglip:
        (result,) = answer(siglip, "embed", EmbedRequest(input=("a cat",)))
    assert 0 < result.usage.prompt_tokens < 20


def test_vectors_are_cut_and_then_normalized(clip: EncoderModel) -> None:
    whole, cut, plain = answer(
        clip,
        "embed_image",
        EmbedImageRequest(input=(RED, "cat")),
        EmbedImageRequest(input=(RED, "cat"), dimensions=4),
        EmbedImageRequest(input=(RED, "cat"), normalize=False),
    )
    assert (whole.dimensions, cut.dimensions) == (16, 4)
    assert numpy.linalg.norm(vectors(whole), axis=1) == pytest.approx([1, 1])
    assert numpy.linalg.norm(vectors(cut), axis=1) == pytest.approx([1, 1])
    assert numpy.linalg.norm(vectors(plain), axis=1) != pytest.approx([1, 1])
    shortened = vectors(whole)[:, :4]
    expected = shortened / numpy.linalg.norm(shortened, axis=1, keepdims=True)
    assert vectors(cut) == pytest.approx(expected, abs=1e-6)


def test_more_dimensions_than_there_are_are_refused(clip: EncoderModel) -> None:
    for task, kind in (("embed_image", EmbedImageRequest), ("embed", EmbedRequest)):
        (error,) = answer(clip, task, kind(input=("cat",), dimensions=17))
        assert isinstance(error, BadRequest)
        assert (error.param, "1 to 16" in str(error)) == ("dimensions", True)


def test_labels_that_are_too_long_are_refused(clip: EncoderModel, folder: Folder) -> None:
    request = MatchLabelsRequest(images=(RED,), labels=("cat", "x" * 300))
    with closing(open_model(folder("vision.siglip"))) as siglip:
        for model, limit in ((clip, 77), (siglip, 64)):
            (error,) = answer(model, "match_labels", request)
            assert isinstance(error, ContextLengthExceeded)
            assert error.param == "candidate_labels[1]"
            assert f"at most {limit}" in str(error)


def test_a_text_that_is_refused_ends_the_pictures_of_its_request(clip: EncoderModel) -> None:
    request = EmbedImageRequest(input=(*[RED] * 200, "a cat " * 200))

    async def run() -> list[bool]:
        with pytest.raises(ContextLengthExceeded):
            await clip.embed_image(request)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(left)
        return [task.cancelled() for task in left]

    assert sum(asyncio.run(run())) > 100


def test_a_template_without_a_place_for_the_label_is_refused(clip: EncoderModel) -> None:
    request = MatchLabelsRequest(images=(RED,), labels=("cat",), hypothesis_template="a photo")
    (error,) = answer(clip, "match_labels", request)
    assert isinstance(error, BadRequest)
    assert error.param == "hypothesis_template"


def test_a_model_of_pictures_alone_reads_no_words(vit: EncoderModel) -> None:
    (error,) = answer(vit, "embed_image", EmbedImageRequest(input=(RED, "cat")))
    assert isinstance(error, BadRequest)
    assert error.param == "input[1]"


def test_tokens_are_refused(clip: EncoderModel) -> None:
    (error,) = answer(clip, "embed", EmbedRequest(input=("cat", (1, 2))))
    assert isinstance(error, BadRequest)
    assert error.param == "input[1]"


def test_a_text_without_tokens_is_refused(folder: Folder) -> None:
    with closing(open_model(folder("vision.align"))) as align:
        (error,) = answer(align, "embed", EmbedRequest(input=("cat", "")))
    assert isinstance(error, BadRequest)
    assert error.param == "input[1]"


def test_texts_that_come_again_are_not_computed_again(clip: EncoderModel, monkeypatch: pytest.MonkeyPatch) -> None:
    request = EmbedRequest(input=("a text of its own", "another", "a text of its own"))
    (first,) = answer(clip, "embed", request)
    monkeypatch.setattr(clip._network.matcher._model, "get_text_features", None)
    (second,) = answer(clip, "embed", request)
    assert second == first


def test_only_the_texts_that_were_asked_for_last_are_kept() -> None:
    kept = Kept(2)
    rows = {name: Row(torch.tensor([1.0]), 1) for name in "abc"}
    kept.keep("a", rows["a"])
    kept.keep("b", rows["b"])
    kept.find("a")
    kept.keep("c", rows["c"])
    assert [name for name in "abc" if kept.find(name)] == ["a", "c"]


@pytest.mark.parametrize(
    ("name", "pooling"),
    [("resnet", "cls"), ("swin", "cls"), ("vit", "pooler"), ("vit_without_pooler", "pooler"), ("clip", "mean")],
)
def test_a_pooling_that_the_model_does_not_have_fails_the_load(name: str, pooling: Any, folder: Folder) -> None:
    with pytest.raises(LoadFailed, match="pooling"):
        open_model(folder(f"vision.{name}"), pooling=pooling)
