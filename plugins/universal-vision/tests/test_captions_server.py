"""Captions and answers through a real server: what a client sends, and what it is told where it is wrong."""

import base64
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from server import Server, running_server
from tiny.captioning import PICTURES, QUESTION, ask, describe, question
from tiny.media import encoded

Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server("--device", "cpu") as found:
        yield found


def post(server: Server, what: str, model: Path, shown: Image.Image, **fields: Any) -> httpx.Response:
    body = {"model": str(model), "image": base64.b64encode(encoded(shown)).decode(), "max_length": 8, **fields}
    return httpx.post(f"{server.url}/v1/multimodal/{what}", json=body, timeout=60)


def test_many_captions_at_once_are_those_of_the_model(server: Server, folder: Folder) -> None:
    path = folder("captions.blip")
    with ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(lambda image: post(server, "caption", path, image), [*PICTURES, *PICTURES]))
    expected = ask(path, *(describe(image) for image in PICTURES))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert [answer.json()["caption"] for answer in answers] == [one.caption for one in expected] * 2
    assert [answer.json()["usage"]["completion_tokens"] for answer in answers] == [
        one.usage.completion_tokens for one in expected
    ] * 2
    assert "parsed" not in answers[0].json()


def test_a_caption_goes_on_from_the_prompt(server: Server, folder: Folder) -> None:
    answer = post(server, "caption", folder("captions.blip"), PICTURES[2], prompt="a photo of")
    assert answer.json()["caption"].startswith("a photo of")


def test_without_a_length_an_answer_has_at_most_fifty_tokens(server: Server, folder: Folder) -> None:
    answer = post(server, "caption", folder("captions.git"), PICTURES[0], max_length=None)
    assert answer.status_code == 200, answer.text
    assert 8 < answer.json()["usage"]["completion_tokens"] <= 50


def test_a_question_is_answered(server: Server, folder: Folder) -> None:
    path = folder("captions.blip_vqa")
    answer = post(server, "vqa", path, PICTURES[2], question=QUESTION)
    (expected,) = ask(path, question(PICTURES[2]))
    assert answer.json()["answer"] == expected.answer
    assert "score" not in answer.json()


def test_a_classifier_of_answers_tells_how_sure_it_is(server: Server, folder: Folder) -> None:
    answer = post(server, "vqa", folder("captions.vilt"), PICTURES[0], question=QUESTION).json()
    (expected,) = ask(folder("captions.vilt"), question(PICTURES[0]))
    assert answer["answer"] == expected.answer
    assert answer["score"] == pytest.approx(expected.score, abs=1e-4)
    assert answer["usage"]["completion_tokens"] == 0


def test_florence_tells_its_words_and_its_data(server: Server, folder: Folder) -> None:
    path = folder("captions.florence2")
    answer = post(server, "caption", path, PICTURES[0], prompt="<OD>").json()
    (expected,) = ask(path, describe(PICTURES[0], "<OD>"))
    assert answer["caption"] == expected.caption
    assert answer["parsed"] == expected.parsed
    assert answer["parsed"].keys() == {"<OD>"}


@pytest.mark.parametrize(
    ("what", "name", "fields", "status", "param"),
    [
        ("caption", "florence2", {"prompt": "<FLY>"}, 400, "prompt"),
        ("caption", "florence2", {"prompt": "<REGION_TO_OCR>"}, 400, "prompt"),
        ("caption", "blip", {"max_length": 5000}, 400, "max_length"),
        ("caption", "blip", {"max_length": 0}, 400, "max_length"),
        ("caption", "blip", {"image": base64.b64encode(b"no picture").decode()}, 400, "image"),
        ("vqa", "vilt", {"question": "what is it " * 60}, 400, "question"),
        ("vqa", "blip", {"question": QUESTION}, 501, None),
        ("caption", "blip_vqa", {}, 501, None),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    server: Server, folder: Folder, what: str, name: str, fields: dict[str, Any], status: int, param: str | None
) -> None:
    answer = post(server, what, folder(f"captions.{name}"), PICTURES[0], **fields)
    assert answer.status_code == status, answer.text
    if param:
        assert answer.json()["error"]["param"] == param
