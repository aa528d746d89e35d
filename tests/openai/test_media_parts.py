"""Pictures and recordings in a conversation: read before the model is asked, and only for one that takes them."""

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients import outcome, posted, using
from universal_core.config import Config, MediaConfig
from websites import website

PICTURE = b"not really a picture"
PAGES = {"/picture.png": PICTURE}
DATA_URL = "data:image/png;base64," + base64.b64encode(PICTURE).decode()


def picture(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def recording(data: str) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def ask(*parts: dict[str, Any], model: str = "echo/sees") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": [{"type": "text", "text": "sizes"}, *parts]}]}


def answered(body: dict[str, Any], config: Config | None = None) -> str:
    response = posted("/v1/chat/completions", body, config)
    assert response.status_code == 200, response.text
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


def test_parts_arrive_at_the_model_as_bytes(tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(PICTURE * 2)
    config = Config(media=MediaConfig(roots=(str(tmp_path),)))
    encoded = base64.b64encode(PICTURE * 3).decode()
    parts = (picture(DATA_URL), picture(str(file)), recording(encoded), recording(DATA_URL))
    assert answered(ask(*parts), config) == "sizes 20 40 60 20"


def test_a_conversation_to_be_counted_is_read_as_one_to_be_answered() -> None:
    response = posted("/v1/tokenize", ask(picture(DATA_URL)))
    assert response.json()["count"] == 1 + len("sizes")
    assert outcome(posted("/v1/tokenize", ask(picture("/etc/hosts.png"))))[0] == 403


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/tokenize"])
def test_nothing_is_fetched_for_a_model_that_cannot_see(path: str) -> None:
    with website(PAGES) as (address, asked):
        url = f"{address}/picture.png"
        response = posted(path, ask(picture(url), model="echo/blind"))
        assert outcome(response) == (400, "unsupported_field", "messages[0].content[1].image_url")
        response = posted(path, ask(recording(url), model="echo/deaf"))
        assert outcome(response) == (400, "unsupported_field", "messages[0].content[1].input_audio")
    assert asked == []


def test_an_address_of_this_machine_is_refused_before_it_is_asked() -> None:
    with website(PAGES) as (address, asked):
        url = f"{address}/picture.png"
        response = posted("/v1/chat/completions", ask(picture(DATA_URL), picture(url)))
    assert outcome(response) == (403, "forbidden", "messages[0].content[2].image_url.url")
    assert asked == []


@pytest.mark.parametrize(
    ("part", "status", "field"),
    [
        (picture("data:image/png;base64,%%%"), 400, "image_url.url"),
        (picture("not base64!"), 400, "image_url.url"),
        (picture("/nowhere/picture.png"), 403, "image_url.url"),
        (picture("data:;base64," + base64.b64encode(bytes(101)).decode()), 413, "image_url.url"),
        (picture("http://example.com/picture.png"), 403, "image_url.url"),
        (recording("not base64!"), 400, "input_audio.data"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_refused_by_the_name_of_its_field(part: dict[str, Any], status: int, field: str) -> None:
    config = Config(media=MediaConfig(max_bytes=100, fetch=False))

    async def use(client: httpx.AsyncClient) -> None:
        response = await client.post("/v1/chat/completions", json=ask(picture(DATA_URL), part, picture(DATA_URL)))
        found, _, param = outcome(response)
        assert (found, param) == (status, f"messages[0].content[2].{field}")
        assert (await client.get("/health")).json()["models"] == []

    using(use, config)
