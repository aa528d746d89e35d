"""What each endpoint that looks at pictures answers, to JSON and to a form."""

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from clients import serving
from universal_core.config import Config, ModelsConfig

Post = Callable[..., httpx.Response]
Answer = Callable[..., Any]

FIRST, SECOND = b"first picture", b"another one"
FILES = [("images", ("first.png", FIRST)), ("images", ("second.png", SECOND))]


def url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


BOTH = [url(FIRST), url(SECOND)]


@pytest.fixture(scope="module")
def post() -> Iterator[Post]:
    with serving(Config(models=ModelsConfig(default="echo/a"))) as found:
        yield found


@pytest.fixture(scope="module")
def answer(post: Post) -> Answer:
    def ask(path: str, **fields: Any) -> Any:
        response = post(f"/v1/{path}", json={"model": "echo/a", **fields})
        assert response.status_code == 200, response.text
        return response.json()

    return ask


def numbers(found: Any) -> list[tuple[int, Any]]:
    return [(item["index"], item["embedding"]) for item in found["data"]]


def test_pictures_are_classified_in_order_with_the_likeliest_label_first(answer: Answer) -> None:
    found = answer("vision/classify", images=BOTH, top_k=2)
    assert found == {
        "object": "list",
        "data": [
            {
                "index": 0,
                "predictions": [{"label": "13 bytes", "score": 0.9}, {"label": "begins with 102", "score": 0.5}],
            },
            {
                "index": 1,
                "predictions": [{"label": "11 bytes", "score": 0.9}, {"label": "begins with 97", "score": 0.5}],
            },
        ],
        "model": "echo/a",
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }


def test_five_labels_are_told_unless_the_request_says_how_many(answer: Answer) -> None:
    assert len(answer("vision/classify", images=BOTH)["data"][0]["predictions"]) == 3
    assert len(answer("vision/classify", images=BOTH, top_k=1)["data"][0]["predictions"]) == 1
    assert answer("vision/classify", images=BOTH, top_k=None) == answer("vision/classify", images=BOTH, top_k=5)


def test_labels_of_the_request_are_matched_with_each_picture(answer: Answer) -> None:
    found = answer("vision/clip", images=BOTH, candidate_labels=["cat", "a dog"])
    assert [item["index"] for item in found["data"]] == [0, 1]
    for item in found["data"]:
        scores = [prediction["score"] for prediction in item["predictions"]]
        assert sum(scores) == pytest.approx(1)
        assert scores == sorted(scores, reverse=True)
        assert {prediction["label"] for prediction in item["predictions"]} == {"cat", "a dog"}
    assert found["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


def test_the_template_is_what_labels_stand_in(answer: Answer) -> None:
    labels = ["cat", "a dog"]
    plain = answer("vision/clip", images=BOTH, candidate_labels=labels)
    assert (
        answer("vision/clip", images=BOTH, candidate_labels=labels, hypothesis_template="{}")["data"] == plain["data"]
    )
    other = answer("vision/clip", images=BOTH, candidate_labels=labels, hypothesis_template="a {x} of {}!")
    assert other["data"] != plain["data"]


def test_labels_of_one_text_are_separated_by_commas(answer: Answer) -> None:
    several = answer("vision/clip", images=BOTH, candidate_labels=["cat", "a dog"])
    assert answer("vision/clip", images=BOTH, candidate_labels="cat, a dog") == several
    (one,) = answer("vision/clip", images=BOTH[0], candidate_labels=["cat, a dog"])["data"][0]["predictions"]
    assert one == {"label": "cat, a dog", "score": 1.0}


def test_vectors_of_pictures_come_before_those_of_texts(answer: Answer) -> None:
    found = answer("vision/embeddings", images=BOTH, texts=["hello", "x"])
    assert numbers(found) == [(0, [13.0, 102.0]), (1, [11.0, 97.0]), (2, [5.0, 104.0]), (3, [1.0, 120.0])]
    assert (found["object"], found["model"]) == ("list", "echo/a")
    assert found["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    assert numbers(answer("vision/embeddings", texts="hello")) == [(0, [5.0, 104.0])]
    assert numbers(answer("vision/embeddings", images=BOTH[1])) == [(0, [11.0, 97.0])]


def test_vectors_come_as_the_request_wants_them(answer: Answer) -> None:
    assert numbers(answer("vision/embeddings", texts="x", encoding_format="base64")) == [(0, "AACAPwAA8EI=")]
    assert numbers(answer("vision/embeddings", texts=["xy"], normalize=False)) == [(0, [1.0, 120.0])]


def test_what_is_found_has_a_box_in_pixels_and_the_picture_its_size(answer: Answer) -> None:
    found = answer("vision/detect", images=BOTH, threshold=0.5, candidate_labels=["cat", "dog", "bird"])
    assert found["data"][0] == {
        "index": 0,
        "detections": [
            {"label": "cat", "score": 0.9, "box": {"xmin": 0.0, "ymin": 0.0, "xmax": 13.0, "ymax": 1.0}},
            {"label": "dog", "score": 0.5, "box": {"xmin": 0.0, "ymin": 0.0, "xmax": 13.0, "ymax": 2.0}},
        ],
        "width": 13,
        "height": 3,
    }
    assert found["data"][1]["width"] == 11
    assert found["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    assert len(answer("vision/detect", images=BOTH)["data"][0]["detections"]) == 3
    assert answer("vision/detect", images=BOTH, threshold=1)["data"][0]["detections"] == []


def opened(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_parts_of_a_picture_have_masks(answer: Answer) -> None:
    found = answer("vision/segment", images=BOTH, threshold=0.5, candidate_labels="cat, dog")
    assert [item["index"] for item in found["data"]] == [0, 1]
    first, second = found["data"][0]["segments"]
    assert (first["label"], first["score"], second["label"], second["score"]) == ("cat", 0.9, "dog", 0.5)
    mask = opened(first["mask"])
    assert (mask.format, mask.mode, mask.getpixel((0, 0))) == ("PNG", "L", 255)


def test_depths_are_a_picture_of_sixteen_bits_with_what_its_ends_mean(answer: Answer) -> None:
    found = answer("vision/depth", images=BOTH)
    assert [(item["index"], item["min"], item["max"]) for item in found["data"]] == [(0, 0.0, 13.0), (1, 0.0, 11.0)]
    depth = opened(found["data"][0]["depth"])
    assert (depth.format, depth.mode, depth.getpixel((0, 0))) == ("PNG", "I;16", 65535)


def usage(read: int, written: int) -> dict[str, Any]:
    details = {"prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written, **details}


def test_a_picture_is_described(answer: Answer) -> None:
    image = BOTH[0]
    found = {"caption": "a picture of 13 bytes", "model": "echo/a", "usage": usage(1, 5)}
    assert answer("multimodal/caption", image=image) == found
    assert answer("multimodal/caption", image=image, prompt="") == found
    assert answer("multimodal/caption", image=image, max_length=2)["caption"] == "a picture"
    assert answer("multimodal/caption", image=image, prompt="it has")["caption"] == "it has 13 bytes"


def test_what_a_model_writes_as_data_is_data(answer: Answer) -> None:
    found = answer("multimodal/caption", image=BOTH[0], prompt="<SIZE>")
    assert found["caption"] == "<SIZE> 13 bytes"
    assert found["parsed"] == {"<SIZE>": 13}


def test_a_question_is_answered_with_a_score_where_the_model_tells_one(answer: Answer) -> None:
    image = BOTH[0]
    found = {"answer": "13 bytes", "model": "echo/a", "usage": usage(4, 2)}
    assert answer("multimodal/vqa", image=image, question="what is this") == found
    assert answer("multimodal/vqa", image=image, question="how many bytes?")["score"] == 1.0
    assert answer("multimodal/vqa", image=image, question="what is this", max_length=1)["answer"] == "13"


FORMS: list[tuple[str, list[Any], dict[str, Any], dict[str, Any]]] = [
    ("vision/classify", FILES, {"top_k": "2"}, {"images": BOTH, "top_k": 2}),
    ("vision/clip", FILES, {"candidate_labels": ["a", "b"]}, {"images": BOTH, "candidate_labels": ["a", "b"]}),
    ("vision/clip", FILES, {"candidate_labels[]": "a, b"}, {"images": BOTH, "candidate_labels": ["a, b"]}),
    ("vision/clip", FILES, {"candidate_labels": "a, b"}, {"images": BOTH, "candidate_labels": ["a", "b"]}),
    ("vision/clip", FILES, {"candidate_labels": '["a, b", "c"]'}, {"images": BOTH, "candidate_labels": ["a, b", "c"]}),
    (
        "vision/embeddings",
        FILES,
        {"texts": "hi", "normalize": "false"},
        {"images": BOTH, "texts": "hi", "normalize": False},
    ),
    ("vision/embeddings", FILES[:1], {"texts": ["hi", "x"]}, {"images": BOTH[:1], "texts": ["hi", "x"]}),
    ("vision/detect", FILES, {"threshold": "0.4"}, {"images": BOTH, "threshold": 0.4}),
    ("vision/segment", FILES[:1], {"threshold": "0.4"}, {"images": BOTH[:1], "threshold": 0.4}),
    ("vision/depth", [("images[]", FIRST)], {}, {"images": BOTH[:1]}),
    ("vision/depth", [("images", FIRST), ("images[]", SECOND)], {}, {"images": BOTH}),
    ("vision/depth", FILES[:1], {"images": BOTH[1]}, {"images": [BOTH[1], BOTH[0]]}),
    ("multimodal/caption", [("image", FIRST)], {"max_length": "3"}, {"image": BOTH[0], "max_length": 3}),
    ("multimodal/vqa", [("image", FIRST)], {"question": "what?"}, {"image": BOTH[0], "question": "what?"}),
]


@pytest.mark.parametrize(("path", "files", "fields", "body"), FORMS)
def test_a_form_says_the_same_as_json(
    post: Post, path: str, files: list[Any], fields: dict[str, Any], body: dict[str, Any]
) -> None:
    form = post(f"/v1/{path}", files=files, data={"model": "echo/a", **fields})
    assert form.status_code == 200, form.text
    assert form.json() == post(f"/v1/{path}", json={"model": "echo/a", **body}).json()


def test_every_answer_tells_its_id_and_its_times(post: Post) -> None:
    response = post("/v1/vision/depth", json={"model": "echo/a", "images": BOTH})
    assert response.headers["x-request-id"].startswith("req_")
    assert "generate;dur=" in response.headers["server-timing"]


def test_the_default_model_looks_for_those_who_name_none(post: Post) -> None:
    response = post("/v1/vision/depth", json={"images": BOTH})
    assert (response.status_code, response.json()["model"]) == (200, "echo/a")
