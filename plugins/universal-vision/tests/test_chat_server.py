"""Chats with pictures through the server: the contract, OpenAI's SDK, streams, captions and questions."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

import openai
from clients import using
from server import Server, running_server
from tiny.chatting import answers, load, texts
from tiny.conversations import see
from tiny.media import GREEN, RED, encoded, picture
from tiny.visual_chat import make_llava
from universal_core import ImagePart
from universal_core.testing import BackendContract
from websites import website

PICTURES = [encoded(picture(color, (140, 90))) for color in (RED, GREEN)]
WORDS = "what?"


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_llava(tmp_path_factory.mktemp("sees") / "llava")


class TestChatsWithPictures(BackendContract):
    options: ClassVar[dict[str, Any]] = {"dtype": "float32", "device": "cpu"}
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, llava: Path) -> None:
        type(self).model = str(llava)


@pytest.fixture(scope="module")
def expected(llava: Path) -> list[str]:
    """Return what the model says to each picture where nothing is between."""
    with closing(load(llava)) as model:
        return texts(answers(model, *(see(WORDS, ImagePart(data=data)) for data in PICTURES)))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server("--device", "cpu") as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


def question(url: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": WORDS}, {"type": "image_url", "image_url": {"url": url, **fields}}]
    return {"messages": [{"role": "user", "content": content}], "temperature": 0.0, "max_tokens": 12}


def data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def test_the_sdk_sends_pictures_as_data(client: openai.OpenAI, llava: Path, expected: list[str]) -> None:
    asked = question(data_url(PICTURES[0]), detail="low")
    answer = client.chat.completions.create(model=str(llava), **asked)
    assert answer.choices[0].message.content == expected[0]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 16
    stream = client.chat.completions.create(model=str(llava), stream=True, **question(data_url(PICTURES[1])))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == expected[1]


def test_many_clients_get_answers_to_their_own_pictures(
    client: openai.OpenAI, llava: Path, expected: list[str]
) -> None:
    def use(place: int) -> str | None:
        asked = question(data_url(PICTURES[place % 2]))
        found = client.chat.completions.create(model=str(llava), **asked)
        return str(found.choices[0].message.content)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(12))) == expected * 6


def test_a_bad_picture_is_told_by_its_place(client: openai.OpenAI, llava: Path) -> None:
    with pytest.raises(openai.BadRequestError, match="damaged or not whole") as caught:
        client.chat.completions.create(model=str(llava), **question(data_url(PICTURES[0][:-30])))
    assert caught.value.param == "messages[0].content[1].image_url.url"


def test_captions_and_questions_are_answered(server: Server, llava: Path) -> None:
    body = {"model": str(llava), "image": data_url(PICTURES[0]), "max_length": 12}
    caption = httpx.post(f"{server.url}/v1/multimodal/caption", json={**body, "prompt": "in one word"}).json()
    answer = httpx.post(f"{server.url}/v1/multimodal/vqa", json={**body, "question": WORDS}).json()
    with closing(load(llava)) as model:
        part = ImagePart(data=PICTURES[0])
        wanted = answers(model, see(part, "in one word"), see(part, WORDS))
    assert [caption["caption"], answer["answer"]] == [text.strip() for text in texts(wanted)]
    assert caption["usage"]["prompt_tokens"] == wanted[0].usage.prompt_tokens


def test_the_sdk_names_a_picture_on_the_web(llava: Path, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # This machine's own address is taken for a public one.
    monkeypatch.setattr("universal_core.media.is_public", lambda address: address == "127.0.0.1")

    async def use(client: Any) -> tuple[str | None, str]:
        sdk = openai.AsyncOpenAI(base_url="http://test/v1", api_key="none", http_client=client, max_retries=0)
        whole = await sdk.chat.completions.create(model=str(llava), **question(url))
        stream = await sdk.chat.completions.create(model=str(llava), stream=True, **question(url))
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return whole.choices[0].message.content, "".join(pieces)

    with website({"/picture.png": PICTURES[0]}) as (address, asked):
        url = f"{address}/picture.png"
        assert using(use) == (expected[0], expected[0])
    assert len(asked) == 2
