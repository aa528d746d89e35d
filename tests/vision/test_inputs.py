"""Where pictures may come from, and everything in a request that is refused, by the name of its field."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients import outcome, serving, using
from installed import install, on_path
from universal_core import media
from universal_core.config import Config, MediaConfig, ServerConfig
from universal_core.openai import LONGEST_LABEL, MOST_LABELS
from universal_core.vision.bodies import MOST_IMAGES
from websites import website

Post = Callable[..., httpx.Response]

PICTURE = b"not really a picture"
DAMAGED = b"damaged, says the echo backend"
PAGES = {"/picture.png": PICTURE, "/damaged.png": DAMAGED}
PATHS = {
    "vision/classify": {},
    "vision/clip": {"candidate_labels": ["cat", "dog"]},
    "vision/embeddings": {},
    "vision/detect": {},
    "vision/segment": {},
    "vision/depth": {},
    "multimodal/caption": {},
    "multimodal/vqa": {"question": "what?"},
}


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def url(data: bytes) -> str:
    return f"data:image/png;base64,{base64_of(data)}"


def body(path: str, *images: Any, **fields: Any) -> dict[str, Any]:
    """Return a request; an endpoint for one picture gets the last."""
    pictures = {"image": images[-1]} if path.startswith("multimodal") else {"images": list(images)}
    return {"model": "echo/a", **pictures, **PATHS[path], **fields}


def short(value: Any) -> str:
    return str(value)[:40]


def place(path: str, at: int) -> str:
    return "image" if path.startswith("multimodal") else f"images[{at}]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("pictures")
    (found / "picture.png").write_bytes(PICTURE)
    return found


@pytest.fixture(scope="module")
def post(folder: Path) -> Iterator[Post]:
    with serving(Config(media=MediaConfig(roots=(str(folder),), max_bytes=1000))) as found:
        yield found


@pytest.fixture
def nearby(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take this machine's own address for a public one."""
    monkeypatch.setattr(media, "is_public", lambda address: address == "127.0.0.1")


def seen(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [item["predictions"][0]["label"] for item in response.json()["data"]]


def test_a_picture_may_be_told_in_many_ways(post: Post, folder: Path) -> None:
    path = str(folder / "picture.png")
    images = [
        *(base64_of(PICTURE), url(PICTURE), path, f"file://{path}", {"image": path}),
        *({"image_url": url(PICTURE)}, {"type": "image_url", "image_url": {"url": path, "detail": "auto"}}),
        *({"type": "input_image", "image_url": path}, {"data": base64_of(PICTURE)}),
    ]
    assert seen(post("/v1/vision/classify", json=body("vision/classify", *images))) == ["20 bytes"] * len(images)


def test_one_picture_needs_no_list(post: Post) -> None:
    for image in (url(PICTURE), {"image_url": {"url": url(PICTURE)}}):
        response = post("/v1/vision/classify", json={"model": "echo/a", "images": image})
        assert seen(response) == ["20 bytes"]


@pytest.mark.usefixtures("nearby")
@pytest.mark.parametrize("path", PATHS)
def test_pictures_are_fetched_from_where_a_url_leads(post: Post, path: str) -> None:
    with website(PAGES) as (address, asked):
        told = post(f"/v1/{path}", json=body(path, f"{address}/picture.png", f"{address}/picture.png"))
        assert told.status_code == 200, told.text
        assert asked == ["/picture.png"] * (1 if path.startswith("multimodal") else 2)
        response = post(f"/v1/{path}", json=body(path, url(PICTURE), f"{address}/nothing.png"))
        assert outcome(response) == (400, "invalid_value", place(path, 1))
        assert "status 404" in response.json()["error"]["message"]
    assert told.json() == post(f"/v1/{path}", json=body(path, url(PICTURE), url(PICTURE))).json()


@pytest.mark.usefixtures("nearby")
def test_a_url_in_a_form_is_fetched_too(post: Post) -> None:
    with website(PAGES) as (address, _):
        fields = {"model": "echo/a", "images": [f"{address}/picture.png", url(PICTURE + b"!")]}
        response = post("/v1/vision/classify", data=fields, files={"images": PICTURE + b"!!"})
    assert seen(response) == ["20 bytes", "21 bytes", "22 bytes"]


@pytest.mark.parametrize("path", PATHS)
def test_an_address_of_this_machine_is_refused_before_it_is_asked(post: Post, path: str) -> None:
    with website(PAGES) as (address, asked):
        response = post(f"/v1/{path}", json=body(path, url(PICTURE), f"{address}/picture.png"))
        assert outcome(response) == (403, "forbidden", place(path, 1))
    assert asked == []


@pytest.mark.usefixtures("nearby")
def test_nothing_is_fetched_for_a_request_that_cannot_be_answered(post: Post) -> None:
    with website(PAGES) as (address, asked):
        for path in PATHS:
            response = post(f"/v1/{path}", json={**body(path, f"{address}/picture.png"), "model": "org/none"})
            assert outcome(response) == (404, "model_not_found", "model")
        for path, fields, code, param in (
            ("vision/clip", {"hypothesis_template": "x"}, "invalid_value", "hypothesis_template"),
            ("vision/embeddings", {"dimensions": 4}, "unsupported_field", "dimensions"),
        ):
            response = post(f"/v1/{path}", json=body(path, f"{address}/picture.png", **fields))
            assert outcome(response) == (400, code, param)
    assert asked == []


@pytest.mark.parametrize(
    ("image", "status", "words"),
    [
        ("not base64!", 400, "expected base64"),
        ("data:image/png;base64,%%%", 400, "expected base64"),
        ("", 400, "got an empty file"),
        ("data:,", 400, "got an empty file"),
        ("/nowhere/picture.png", 403, "media.roots"),
        ("http://10.0.0.1/picture.png", 403, "public internet"),
        (url(bytes(1001)), 413, "media.max_bytes"),
        (url(DAMAGED), 400, "the picture is damaged"),
        (7, 400, "expected str | object"),
        ({}, 400, "expected a picture once"),
        ({"image_url": url(PICTURE), "image": url(PICTURE)}, 400, "expected a picture once"),
    ],
    ids=short,
)
@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_picture_is_told_with_its_place(post: Post, path: str, image: Any, status: int, words: str) -> None:
    response = post(f"/v1/{path}", json=body(path, url(PICTURE), image))
    found, _, param = outcome(response)
    assert (found, param) == (status, place(path, 1))
    message = response.json()["error"]["message"]
    assert message.startswith(f"{param}: ")
    assert words in message


@pytest.mark.parametrize(
    ("path", "fields", "param", "words"),
    [
        ("vision/classify", {"images": []}, "images", ">= 1"),
        ("vision/classify", {"images": None}, "images", "expected"),
        ("vision/classify", {"images": [url(PICTURE)] * (MOST_IMAGES + 1)}, "images", f"<= {MOST_IMAGES}"),
        ("vision/classify", {"images": [{"type": "audio", "image_url": "x"}]}, "images[0].type", "expected one of"),
        ("vision/classify", {"images": [{"image_url": {"uri": "x"}}]}, "images[0].image_url.uri", "did you mean url"),
        (
            "vision/classify",
            {"images": [{"image_url": {"url": "x", "detail": "high"}}]},
            "images[0].image_url.detail",
            "auto",
        ),
        ("vision/classify", {"top_k": 0}, "top_k", ">= 1"),
        ("vision/classify", {"top_k": 1.5}, "top_k", "expected int"),
        ("vision/classify", {"topk": 1}, "topk", "did you mean top_k"),
        ("vision/clip", {"candidate_labels": []}, "candidate_labels", ">= 1"),
        ("vision/clip", {"candidate_labels": ""}, "candidate_labels[0]", "1 to 1000 characters"),
        ("vision/clip", {"candidate_labels": "a,,b"}, "candidate_labels[1]", "1 to 1000 characters"),
        ("vision/clip", {"candidate_labels": ["a", " "]}, "candidate_labels[1]", "1 to 1000 characters"),
        ("vision/clip", {"candidate_labels": ["a", ""]}, "candidate_labels[1]", ">= 1"),
        ("vision/clip", {"candidate_labels": ["x" * (LONGEST_LABEL + 1)]}, "candidate_labels[0]", "<= 1000"),
        ("vision/clip", {"candidate_labels": ["a"] * (MOST_LABELS + 1)}, "candidate_labels", "<= 1000"),
        ("vision/clip", {"candidate_labels": "a," * MOST_LABELS + "a"}, "candidate_labels", "at most 1000"),
        ("vision/clip", {"candidate_labels": None}, "candidate_labels", "expected"),
        ("vision/clip", {"hypothesis_template": "a photo"}, "hypothesis_template", "got it 0 times"),
        ("vision/clip", {"hypothesis_template": "{} and {}"}, "hypothesis_template", "got it 2 times"),
        ("vision/embeddings", {"images": None}, "images", "or texts"),
        ("vision/embeddings", {"images": None, "texts": []}, "texts", ">= 1"),
        ("vision/embeddings", {"texts": ["x"] * 2049}, "texts", "<= 2048"),
        ("vision/embeddings", {"texts": ["x", ""]}, "texts[1]", "texts[1]: an empty text has no vector"),
        ("vision/embeddings", {"encoding_format": "int8"}, "encoding_format", "base64, float"),
        ("vision/embeddings", {"dimensions": 0}, "dimensions", ">= 1"),
        ("vision/detect", {"threshold": -0.1}, "threshold", ">= 0"),
        ("vision/detect", {"threshold": 1.1}, "threshold", "<= 1"),
        ("vision/detect", {"candidate_labels": []}, "candidate_labels", ">= 1"),
        ("vision/segment", {"threshold": "much"}, "threshold", "expected float"),
        ("vision/depth", {"threshold": 0.5}, "threshold", "unknown field"),
        ("multimodal/caption", {"image": [url(PICTURE)]}, "image", "expected str | object"),
        ("multimodal/caption", {"images": [url(PICTURE)]}, "images", "did you mean image"),
        ("multimodal/caption", {"max_length": 0}, "max_length", ">= 1"),
        ("multimodal/caption", {"max_length": 2**70}, "max_length", "<="),
        ("multimodal/vqa", {"question": ""}, "question", ">= 1"),
        ("multimodal/vqa", {"question": None}, "question", "expected str"),
    ],
    ids=short,
)
def test_what_is_wrong_is_refused_by_name(
    post: Post, path: str, fields: dict[str, Any], param: str, words: str
) -> None:
    response = post(f"/v1/{path}", json=body(path, url(PICTURE), **fields))
    assert outcome(response) == (400, "invalid_value", param)
    assert words in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "missing"),
    [*((path, "image" if path.startswith("multi") else "images") for path in PATHS if path != "vision/embeddings")],
)
def test_a_picture_that_is_missing_is_named(post: Post, path: str, missing: str) -> None:
    response = post(f"/v1/{path}", json={"model": "echo/a", **PATHS[path]})
    assert response.json()["error"]["message"] == f"{missing} is required"


def test_a_task_that_the_model_does_not_have_is_told_with_what_to_do(tmp_path: Path) -> None:
    plugin = """
from universal_core import Backend, Claim, ModelInfo, hookimpl
API_VERSION = 1
@hookimpl
def register_backends():
    return [Backend(name="blind", model="no:Model", tasks=("chat",))]
@hookimpl
def find_model(ref):
    return ModelInfo(id=ref.text, ref=ref, source="blind", path="") if ref.name.startswith("blind/") else None
@hookimpl
def claim_model(info):
    return Claim(backend="blind", tasks=("chat",), reason="test") if info.source == "blind" else None
"""
    install(tmp_path, "blind", plugin)
    with on_path(tmp_path), website(PAGES) as (address, asked):

        async def use(client: httpx.AsyncClient) -> None:
            for path in PATHS:
                fields = {**body(path, f"{address}/picture.png"), "model": "blind/a"}
                response = await client.post(f"/v1/{path}", json=fields)
                assert outcome(response) == (501, "task_not_supported", "model")
                assert "blind runs it for chat" in response.json()["error"]["message"]

        using(use)
    assert asked == []


def test_a_body_over_the_limit_is_refused_as_json_and_as_a_form() -> None:
    async def use(client: httpx.AsyncClient) -> None:
        response = await client.post("/v1/vision/depth", json=body("vision/depth", url(bytes(5000))))
        assert outcome(response) == (413, "payload_too_large", None)
        response = await client.post("/v1/vision/depth", files={"images": bytes(5000)}, data={"model": "echo/a"})
        assert outcome(response) == (413, "payload_too_large", None)
        assert "server.max_body_bytes" in response.json()["error"]["message"]
        response = await client.post("/v1/vision/depth", files={"images": bytes(2000)}, data={"model": "echo/a"})
        assert response.status_code == 200

    using(use, Config(server=ServerConfig(max_body_bytes=4000)))


def test_as_many_pictures_as_are_allowed_are_looked_at(post: Post) -> None:
    files = [("images", PICTURE + bytes([number])) for number in range(MOST_IMAGES)]
    response = post("/v1/vision/classify", files=files, data={"model": "echo/a", "top_k": "3"})
    assert response.status_code == 200, response.text
    last = [item["predictions"][2]["label"] for item in response.json()["data"]]
    assert last == [f"ends with {number}" for number in range(MOST_IMAGES)]
    response = post("/v1/vision/classify", files=[*files, ("images", PICTURE)], data={"model": "echo/a"})
    assert response.status_code == 400


def test_other_bodies_are_refused(post: Post) -> None:
    response = post("/v1/vision/depth", content=b"images=x", headers={"content-type": "text/plain"})
    assert outcome(response) == (415, "unsupported_media_type", None)
