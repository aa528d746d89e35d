"""Chats with pictures through the server: OpenAI's SDK, streams, and addresses that may not be asked."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest

import openai
from server import Server, running_server
from tiny.conversations import see
from tiny.gguf import make_gguf_llama, make_projector
from tiny.media import GREEN, RED, encoded, picture
from tiny.writing import answers, load
from universal_core import ImagePart
from universal_core.testing import BackendContract

PICTURES = [encoded(picture(color, (140, 90))) for color in (RED, GREEN)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of its own with a model that sees, and pictures beside it."""
    found = tmp_path_factory.mktemp("sees")
    make_gguf_llama(found / "model.gguf")
    make_projector(found / "mmproj.gguf")
    return found


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("pictures")
    (found / "red.png").write_bytes(PICTURES[0])
    return found


class TestSeeing(BackendContract):
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, folder: Path) -> None:
        type(self).model = str(folder)


@pytest.fixture(scope="module")
def server(pictures: Path) -> Iterator[Server]:
    with running_server("--device", "cpu", "--media-roots", str(pictures)) as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


def ask(client: openai.OpenAI, model: Path, url: str, **fields: Any) -> Any:
    content: Any = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}}]
    options: Any = {"temperature": 0.0, "max_tokens": 12, **fields}
    return client.chat.completions.create(model=str(model), messages=[{"role": "user", "content": content}], **options)


def data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def said(model: Path) -> list[str]:
    """Return what the model says to each picture where nothing is between."""
    with closing(load(model, n_ctx=None)) as loaded:
        return [answers(loaded, see("what?", ImagePart(data=data)))[0].text for data in PICTURES]


def test_the_sdk_sends_pictures_as_data_and_as_allowed_files(
    client: openai.OpenAI, folder: Path, pictures: Path
) -> None:
    expected = said(folder / "model.gguf")
    for url in (data_url(PICTURES[0]), str(pictures / "red.png"), (pictures / "red.png").as_uri()):
        answer = ask(client, folder, url)
        assert answer.choices[0].message.content == expected[0]
        assert answer.usage.prompt_tokens > 10
    stream = ask(client, folder, data_url(PICTURES[1]), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == expected[1]


def test_many_clients_get_answers_to_their_own_pictures(client: openai.OpenAI, folder: Path) -> None:
    expected = said(folder / "model.gguf")

    def use(place: int) -> str:
        found: str = ask(client, folder, data_url(PICTURES[place % 2])).choices[0].message.content
        return found

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(16))) == expected * 8


def test_what_may_not_be_asked_is_refused(client: openai.OpenAI, server: Server, folder: Path) -> None:
    # The server itself is at hand as one that must not be asked.
    with pytest.raises(openai.PermissionDeniedError) as denied:
        ask(client, folder, f"{server.url}/health")
    assert denied.value.param == "messages[0].content[1].image_url.url"
    with pytest.raises(openai.PermissionDeniedError):
        ask(client, folder, str(folder / "model.gguf"))


def test_a_bad_picture_and_a_model_that_is_blind_are_told_by_name(
    client: openai.OpenAI, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(openai.BadRequestError, match="damaged or not whole") as caught:
        ask(client, folder, data_url(PICTURES[0][:-30]))
    assert caught.value.param == "messages[0].content[1].image_url.url"
    with pytest.raises(openai.BadRequestError, match="does not support images") as caught:
        ask(client, make_gguf_llama(tmp_path / "blind.gguf"), data_url(PICTURES[0]))
    assert caught.value.code == "unsupported_field"
    assert caught.value.param == "messages[0].content[1].image_url"
    assert ask(client, folder, data_url(PICTURES[0])).choices[0].message.content
