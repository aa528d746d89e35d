"""Boxes, masks and depths through a real server: what a client sends, and what it is told where it is wrong."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server import Server, running_server
from tiny.finding import detect, measure, noise, opened, pixels_of, segment
from tiny.media import encoded

Folder = Callable[[str], Path]
WIDE, HIGH = noise(90, 50, 1), noise(44, 60, 2)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server("--device", "cpu") as found:
        yield found


def ask(server: Server, what: str, model: Path, *images: Any, **fields: Any) -> httpx.Response:
    sent = [base64.b64encode(encoded(image)).decode() for image in images]
    body = {"model": str(model), "images": sent, **fields}
    return httpx.post(f"{server.url}/v1/vision/{what}", json=body, timeout=60)


def test_boxes_are_told_with_the_sizes_of_the_pictures(server: Server, folder: Folder) -> None:
    path = folder("regions.rt_detr")
    answer = ask(server, "detect", path, WIDE, HIGH, threshold=0.3)
    assert answer.status_code == 200, answer.text
    with opened(path) as model:
        expected = detect(model, WIDE, HIGH, threshold=0.3)
    data = answer.json()["data"]
    assert [(one["width"], one["height"]) for one in data] == [WIDE.size, HIGH.size]
    for one, found in zip(data, expected.images, strict=True):
        things = one["detections"]
        assert [thing["label"] for thing in things] == [thing.label for thing in found]
        assert [thing["score"] for thing in things] == pytest.approx([thing.score for thing in found], abs=1e-4)
        assert [thing["box"]["xmin"] for thing in things] == pytest.approx(
            [thing.box.xmin for thing in found], abs=0.05
        )


def test_masks_are_files_of_the_size_of_the_picture(server: Server, folder: Folder) -> None:
    path = folder("regions.segformer")
    answer = ask(server, "segment", path, WIDE)
    assert answer.status_code == 200, answer.text
    with opened(path) as model:
        (expected,) = segment(model, WIDE).images
    (found,) = answer.json()["data"]
    assert [part["label"] for part in found["segments"]] == [part.label for part in expected]
    for part, other in zip(found["segments"], expected, strict=True):
        assert part["score"] is None
        mask = pixels_of(base64.b64decode(part["mask"]))
        assert (mask != pixels_of(other.png)).mean() < 0.01


def test_depths_are_a_file_of_sixteen_bits(server: Server, folder: Folder) -> None:
    path = folder("regions.dpt")
    answer = ask(server, "depth", path, HIGH)
    assert answer.status_code == 200, answer.text
    with opened(path) as model:
        (expected,) = measure(model, HIGH).images
    (found,) = answer.json()["data"]
    assert found["min"] == pytest.approx(expected.lowest, abs=1e-4)
    assert found["max"] == pytest.approx(expected.highest, abs=1e-4)
    pixels = pixels_of(base64.b64decode(found["depth"]))
    assert pixels.shape == (HIGH.height, HIGH.width)
    assert (pixels.min(), pixels.max()) == (0, 65535)


@pytest.mark.parametrize(
    ("what", "name", "fields", "param"),
    [
        ("detect", "rt_detr", {"candidate_labels": ["cat"]}, "candidate_labels"),
        ("detect", "owlvit", {}, "candidate_labels"),
        ("detect", "owlvit", {"candidate_labels": ["cat", "word " * 50]}, "candidate_labels[1]"),
        ("detect", "rt_detr", {"threshold": 2}, "threshold"),
        ("segment", "segformer", {"threshold": 0.5}, "threshold"),
        ("detect", "rt_detr", {"images": ["bm8gcGljdHVyZQ=="]}, "images[0]"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    server: Server, folder: Folder, what: str, name: str, fields: dict[str, Any], param: str
) -> None:
    answer = ask(server, what, folder(f"regions.{name}"), WIDE, **fields)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == param
    assert error["message"].startswith(param.partition("[")[0])


def test_a_model_is_asked_only_for_what_it_does(server: Server, folder: Folder) -> None:
    answer = ask(server, "depth", folder("regions.rt_detr"), WIDE)
    assert answer.status_code in (400, 501), answer.text
