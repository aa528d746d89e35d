"""Models that embed and rank in real worker processes: the core's contract, and OpenAI's SDK through the server."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy
import pytest

import openai
from server import Server, running_server
from tiny.embedding import vectors
from tiny.gguf import make_gguf_bert, make_gguf_llama
from tiny.pooled import load, rank
from universal_core.testing import BackendContract

TEXTS = ["hello world", "the quick brown fox", "lazy dog!"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_gguf_bert(tmp_path_factory.mktemp("bert") / "bert.gguf")


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_gguf_llama(tmp_path_factory.mktemp("decoder") / "decoder.gguf", pooling="last")


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_gguf_bert(tmp_path_factory.mktemp("ranker") / "ranker.gguf", rank=True)


class TestEncoder(BackendContract):
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, bert: Path) -> None:
        type(self).model = str(bert)


class TestDecoder(BackendContract):
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, decoder: Path) -> None:
        type(self).model = str(decoder)


class TestRanker(BackendContract):
    model: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _model(self, ranker: Path) -> None:
        type(self).model = str(ranker)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server("--device", "cpu") as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


def numbers(response: Any) -> Any:
    """Return the vectors of an answer by their index: ``[inputs, dimensions]``."""
    assert [item.index for item in response.data] == list(range(len(response.data)))
    return numpy.array([item.embedding for item in response.data], numpy.float32)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_the_sdk_gets_the_vectors_of_the_model(client: openai.OpenAI, bert: Path, encoding: str) -> None:
    response = client.embeddings.create(model=str(bert), input=TEXTS, encoding_format=encoding)  # type: ignore[arg-type]
    with closing(load(bert)) as model:
        expected = vectors(model, TEXTS)
    if encoding == "base64":
        rows = [numpy.frombuffer(base64.b64decode(str(item.embedding)), "<f4") for item in response.data]
        found = numpy.stack(rows)
    else:
        found = numbers(response)
    assert numpy.abs(found - expected).max() < 1e-4
    assert response.usage.prompt_tokens == response.usage.total_tokens > 0


def test_many_clients_get_their_own_vectors(client: openai.OpenAI, decoder: Path) -> None:
    texts = [f"text {place} " + "and more " * (place % 5) for place in range(48)]

    def embed(text: str) -> Any:
        return numbers(client.embeddings.create(model=str(decoder), input=text))[0]

    embed(texts[0])
    with ThreadPoolExecutor(16) as pool:
        found = numpy.stack(list(pool.map(embed, texts)))
    with closing(load(decoder)) as model:
        assert numpy.abs(found - vectors(model, texts)).max() < 1e-3


def test_what_is_wrong_is_told_with_the_field(client: openai.OpenAI, bert: Path) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=str(bert), input=["hello", "hello " * 200])
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.param == "input"
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=str(bert), input="hello", dimensions=1000)
    assert caught.value.param == "dimensions"


def test_documents_are_ranked(server: Server, ranker: Path) -> None:
    body = {"model": str(ranker), "query": "hello", "documents": TEXTS, "top_n": 2, "return_documents": True}
    answer = httpx.post(f"{server.url}/v1/rerank", json=body).json()
    with closing(load(ranker)) as model:
        expected = rank(model, "hello", *TEXTS)
    best = sorted(range(len(TEXTS)), key=lambda place: -expected.scores[place])[:2]
    assert [result["index"] for result in answer["results"]] == best
    assert [result["relevance_score"] for result in answer["results"]] == pytest.approx(
        [expected.scores[place] for place in best], abs=1e-4
    )
    assert [result["document"]["text"] for result in answer["results"]] == [TEXTS[place] for place in best]
    assert answer["usage"]["total_tokens"] == expected.usage.prompt_tokens


def test_a_model_that_ranks_is_not_asked_for_vectors(client: openai.OpenAI, ranker: Path) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.embeddings.create(model=str(ranker), input="hello")
    assert caught.value.status_code == 501


def test_texts_become_tokens_and_texts_again(server: Server, bert: Path) -> None:
    tokens = httpx.post(f"{server.url}/v1/tokenize", json={"model": str(bert), "text": "hello world"}).json()
    assert tokens["count"] == 4
    back = httpx.post(f"{server.url}/v1/detokenize", json={"model": str(bert), "tokens": tokens["tokens"]}).json()
    assert "hello world" in back["text"]
    talk = {"model": str(bert), "messages": [{"role": "user", "content": "hello"}]}
    assert httpx.post(f"{server.url}/v1/tokenize", json=talk).status_code == 400
