"""POST /v1/embeddings with parts: texts and pictures in one list, in one space."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

import openai
from clients import outcome, serving
from runtimes import DEADLINE
from universal_core import media
from universal_core.http import decode
from universal_core.openai.embeddings import MOST_INPUTS, EmbeddingsBody
from websites import website

Post = Callable[..., httpx.Response]

PICTURE = b"not really a picture"
URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
SEEN = [20.0, 110.0]
PAGES = {"/picture.png": PICTURE}


@pytest.fixture(scope="module")
def post() -> Iterator[Post]:
    with serving() as found:
        yield found


def body(*parts: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "echo/a", "input": list(parts), **fields}


def vectors(response: httpx.Response) -> list[list[float]]:
    assert response.status_code == 200, response.text
    rows = response.json()["data"]
    assert [row["index"] for row in rows] == list(range(len(rows)))
    return [row["embedding"] for row in rows]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "image_url", "image_url": URL},
        {"type": "input_image", "image_url": URL},
        {"type": "image", "image": URL},
        {"image_url": {"url": URL, "detail": "auto"}},
        {"image": base64.b64encode(PICTURE).decode()},
    ],
)
def test_a_picture_is_a_part_as_several_apis_write_it(post: Post, part: dict[str, Any]) -> None:
    assert vectors(post("/v1/embeddings", json=body(part))) == [SEEN]


def test_texts_and_pictures_keep_their_order(post: Post) -> None:
    parts = ["word", {"image": URL}, {"type": "text", "text": "hello"}, {"image_url": URL}, {"text": "x"}]
    response = post("/v1/embeddings", json=body(*parts))
    assert vectors(response) == [[4.0, 119.0], SEEN, [5.0, 104.0], SEEN, [1.0, 120.0]]
    assert response.json()["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert (response.json()["object"], response.json()["model"]) == ("list", "echo/a")


def test_what_holds_for_vectors_of_texts_holds_for_those_of_pictures(post: Post) -> None:
    packed = post("/v1/embeddings", json=body({"image": URL}, encoding_format="base64")).json()
    assert packed["data"][0]["embedding"] == "AACgQQAA3EI="
    assert vectors(post("/v1/embeddings", json=body({"image": URL}, normalize=False))) == [[10.0, 110.0]]
    response = post("/v1/embeddings", json=body({"image": URL}, dimensions=1))
    assert outcome(response) == (400, "unsupported_field", "dimensions")


def test_parts_that_are_texts_need_no_model_that_sees() -> None:
    wire = decode(json.dumps(body({"text": "a"}, "b", {"type": "input_text", "text": ""})).encode(), EmbeddingsBody)
    assert wire.to_request().input == ("a", "b", "")


@pytest.mark.parametrize(
    ("parts", "param", "words"),
    [
        ([{"text": "a"}, {}], "input[1]", "expected one text or one picture"),
        ([{"text": "a", "image": URL}], "input[0]", "expected one text or one picture"),
        ([{"image_url": URL, "image": URL}], "input[0]", "expected one text or one picture"),
        ([{"type": "text", "image": URL}], "input[0]", "the type text does not fit"),
        ([{"type": "image_url", "text": "a"}], "input[0]", "the type image_url does not fit"),
        ([{"type": "audio", "text": "a"}], "input[0].type", "expected one of"),
        ([{"image_url": {"url": URL, "detail": "low"}}], "input[0].image_url.detail", "auto"),
        ([{"images": URL}], "input[0].images", "did you mean image"),
        ([{"image": URL}, 1], "input[1]", "token ids cannot be mixed"),
        ([{"image": URL}, [1, 2]], "input[1]", "token ids cannot be mixed"),
        ([{"image": URL}, ""], "input[1]", "an empty text has no vector"),
        (["x", {"image": ""}], "input[1]", "got an empty file"),
        (["x", {"image": "not base64!"}], "input[1]", "expected base64"),
        (["x", {"image": "data:,damaged"}], "input[1]", "the picture is damaged"),
        ([{"image": URL}] * (MOST_INPUTS + 1), "input", f"at most {MOST_INPUTS}"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_part_that_makes_no_sense_is_told_with_its_place(
    post: Post, parts: list[Any], param: str, words: str
) -> None:
    response = post("/v1/embeddings", json=body(*parts))
    assert outcome(response) == (400, "invalid_value", param)
    assert words in response.json()["error"]["message"]


@pytest.mark.parametrize("name", ["input_type", "prompt_name"])
def test_a_prefix_is_for_texts_alone(post: Post, name: str) -> None:
    assert vectors(post("/v1/embeddings", json=body({"image": URL})))
    response = post("/v1/embeddings", json=body({"image": URL}, **{name: "query"}))
    assert outcome(response) == (400, "unsupported_field", name)


def test_pictures_are_fetched_once_the_request_can_be_answered(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    with website(PAGES) as (address, asked):
        part = {"image_url": {"url": f"{address}/picture.png"}}
        assert outcome(post("/v1/embeddings", json=body("x", part))) == (403, "forbidden", "input[1]")
        monkeypatch.setattr(media, "is_public", lambda found: found == "127.0.0.1")
        response = post("/v1/embeddings", json={**body(part), "model": "org/none"})
        assert outcome(response) == (404, "model_not_found", "model")
        assert asked == []
        assert vectors(post("/v1/embeddings", json=body(part, part))) == [SEEN, SEEN]
        assert asked == ["/picture.png"] * 2


def test_the_official_client_sends_parts_as_they_are(post: Post) -> None:
    def send(request: httpx.Request) -> httpx.Response:
        answer = post(request.url.path, content=request.content, headers={"content-type": "application/json"})
        return httpx.Response(answer.status_code, content=answer.content, headers={"content-type": "application/json"})

    with httpx.Client(transport=httpx.MockTransport(send), timeout=DEADLINE) as http:
        client = openai.OpenAI(base_url="http://test/v1", api_key="none", http_client=http)
        parts: Any = [{"type": "image_url", "image_url": {"url": URL}}, "hello"]
        found = client.embeddings.create(model="echo/a", input=parts)
        more = client.embeddings.create(model="echo/a", input="", extra_body={"input": parts})
    for answer in (found, more):
        assert [item.embedding for item in answer.data] == [SEEN, [5.0, 104.0]]
        assert answer.usage.prompt_tokens == 2


@pytest.mark.parametrize("name", ["input_type", "prompt_name"])
def test_a_prefix_that_the_model_does_not_know_is_told_by_the_name_that_the_client_used(post: Post, name: str) -> None:
    response = post("/v1/embeddings", json=body("hi", **{name: "query"}))
    assert outcome(response) == (400, "unsupported_field", name)
    assert response.json()["error"]["message"].startswith(f"{name}: ")
