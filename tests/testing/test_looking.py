"""What the contract says about looking at pictures: which results break it, and which are the same."""

from typing import Any

import pytest

from tiny.media import encoded, picture
from universal_core import (
    Box,
    CaptionResult,
    ClassifyImageRequest,
    DepthMap,
    Detection,
    DetectRequest,
    DetectResult,
    EmbedImageRequest,
    EmbedResult,
    EstimateDepthRequest,
    EstimateDepthResult,
    MatchLabelsRequest,
    Message,
    Prediction,
    PredictionsResult,
    Request,
    Usage,
)
from universal_core.pictures import open_image
from universal_core.testing.contract import content, same
from universal_core.testing.echo_looking import LOOKING_TASKS
from universal_core.testing.looking import check_looking, looking_samples
from universal_core.testing.png import make_png

FILE = make_png(4, 4, b"abc")
CLASSIFY = ClassifyImageRequest(images=(FILE,), top_k=2)
MATCH = MatchLabelsRequest(images=(FILE,), labels=("a", "b"))
DETECT = DetectRequest(images=(FILE,))


def predicted(*pictures: dict[str, float]) -> PredictionsResult:
    images = tuple(tuple(Prediction(label=label, score=score) for label, score in one.items()) for one in pictures)
    return PredictionsResult(images=images, usage=Usage())


def detected(**fields: Any) -> DetectResult:
    return DetectResult(**{"images": ((),), "usage": Usage(), **fields})


def measured(*pngs: bytes, highest: float = 1.0) -> EstimateDepthResult:
    images = tuple(DepthMap(png=png, lowest=0.0, highest=highest) for png in pngs)
    return EstimateDepthResult(images=images, usage=Usage())


def test_there_are_two_samples_of_every_task_with_pictures_that_differ() -> None:
    samples = looking_samples(("labels",))
    assert samples.keys() == set(LOOKING_TASKS)
    for first, second in samples.values():
        assert first != second
    detect: Any = samples["detect"][1]
    assert [open_image(data, "image").size for data in detect.images] == [(40, 60), (64, 48)]
    assert detect.labels
    without: Any = looking_samples(())["detect"][1]
    assert not without.labels


@pytest.mark.parametrize(
    ("request_", "result", "wrong"),
    [
        (CLASSIFY, predicted({"a": 0.9}, {"a": 0.9}), "each picture has an answer"),
        (CLASSIFY, predicted({}), "at most 2 labels"),
        (CLASSIFY, predicted({"a": 0.5, "b": 0.3, "c": 0.1}), "at most 2 labels"),
        (CLASSIFY, predicted({"a": 0.1, "b": 0.3}), "the likeliest label comes first"),
        (CLASSIFY, predicted({"a": 1.5}), "from 0 to 1"),
        (MATCH, predicted({"a": 0.9}), "every label has a score"),
        (DETECT, detected(images=((), ())), "each picture has an answer"),
        (DETECT, detected(sizes=((1, 1), (2, 2))), "the sizes of all pictures"),
        (DETECT, predicted({"a": 0.9}), "is no answer"),
        (EstimateDepthRequest(images=(FILE,)), measured(), "each picture has an answer"),
        (EmbedImageRequest(input=(FILE, "a")), EmbedResult.of([[1.0]], 1), "one vector for each input"),
    ],
)
def test_a_result_that_does_not_fit_its_request_breaks_the_contract(
    request_: Request, result: Message, wrong: str
) -> None:
    with pytest.raises(AssertionError, match=wrong):
        check_looking(request_, result)


def test_results_that_fit_keep_the_contract() -> None:
    check_looking(CLASSIFY, predicted({"a": 0.9, "b": 0.1}))
    check_looking(MATCH, predicted({"b": 0.9, "a": 0.9}))
    check_looking(DETECT, detected(sizes=((4, 4),)))
    check_looking(EstimateDepthRequest(images=(FILE,)), measured(FILE))


def box(xmax: float) -> DetectResult:
    found = Detection(label="a", score=0.5, box=Box(xmin=0.0, ymin=0.0, xmax=xmax, ymax=1.0))
    return detected(images=((found,),))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (predicted({"a": 0.5}), predicted({"a": 0.51}), True),
        (predicted({"a": 0.5}), predicted({"a": 0.6}), False),
        (predicted({"a": 0.5}), predicted({"b": 0.5}), False),
        (predicted({"a": 0.5}), predicted({"a": 0.5}, {"a": 0.5}), False),
        (box(300.0), box(303.0), True),
        (box(300.0), box(330.0), False),
        (box(300.0), detected(), False),
        (predicted({"a": 0.5}), detected(), False),
        (measured(make_png(4, 4, b"\x80\x00")), measured(make_png(4, 4, b"\x81\x00")), True),
        (measured(make_png(4, 4, b"\x80\x00")), measured(make_png(4, 4, b"\x90\x00")), False),
        (measured(make_png(4, 4, b"\x80\x00")), measured(make_png(4, 2, b"\x80\x00")), False),
        (measured(FILE), measured(FILE, highest=1.5), False),
        (measured(encoded(picture())), measured(encoded(picture(), optimize=True)), True),
        (CaptionResult(caption="a", usage=Usage()), CaptionResult(caption="b", usage=Usage()), False),
    ],
)
def test_results_are_the_same_but_for_rounding(one: Message, other: Message, expected: bool) -> None:
    assert same(content([one]), content([other])) is expected
