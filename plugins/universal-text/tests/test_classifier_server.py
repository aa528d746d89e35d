"""Ranking and labelling through a real server, equal to the libraries called directly."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sentence_transformers import CrossEncoder
from transformers import pipeline

from server import Server, running_server
from tiny.classifiers import make_classifier, make_judge, make_token_classifier

DOCUMENTS = ["hello world", "the quick brown fox", "", "a lazy dog"]
TEXT = "the tiny cat is quick. Öäü, hello dog!"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server("--device", "cpu") as found:
        yield found


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("ranker"), labels=("relevant",))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_token_classifier(tmp_path_factory.mktemp("finder"))


def ask(server: Server, path: str, model: Path, **fields: Any) -> Any:
    response = httpx.post(f"{server.url}/v1/{path}", json={"model": str(model), **fields}, timeout=60)
    return {"status": response.status_code, **response.json()}


def scores(predictions: list[dict[str, Any]]) -> dict[str, float]:
    return {one["label"]: one["score"] for one in predictions}


def test_documents_are_ranked(server: Server, ranker: Path) -> None:
    answer = ask(server, "rerank", ranker, query="fox", documents=DOCUMENTS)
    expected = CrossEncoder(str(ranker), device="cpu").rank("fox", DOCUMENTS, show_progress_bar=False)
    assert [one["index"] for one in answer["results"]] == [one["corpus_id"] for one in expected]
    found = [one["relevance_score"] for one in answer["results"]]
    assert found == pytest.approx([one["score"] for one in expected], abs=1e-5)
    assert answer["usage"]["prompt_tokens"] > 4 * len(DOCUMENTS)


def test_documents_are_ranked_by_a_decoder(server: Server, tmp_path: Path) -> None:
    path = make_judge(tmp_path)
    answer = ask(server, "rerank", path, query="fox", documents=DOCUMENTS, top_n=2)
    expected = CrossEncoder(str(path), device="cpu").rank("fox", DOCUMENTS, top_k=2, show_progress_bar=False)
    found = [(one["index"], one["relevance_score"]) for one in answer["results"]]
    assert found == [(one["corpus_id"], pytest.approx(one["score"], abs=1e-5)) for one in expected]


def test_texts_are_labelled(server: Server, classifier: Path) -> None:
    answer = ask(server, "classify", classifier, input=[TEXT, {"text": "hello", "text_pair": "dog"}])
    reference = pipeline("text-classification", str(classifier), device="cpu", top_k=None)
    expected = [*reference([TEXT]), *reference([{"text": "hello", "text_pair": "dog"}])]
    assert [item["index"] for item in answer["data"]] == [0, 1]
    for item, told in zip(answer["data"], expected, strict=True):
        assert scores(item["predictions"]) == pytest.approx(scores(told), abs=1e-5)
    (best,) = ask(server, "classify", classifier, input=TEXT, top_k=1)["data"]
    assert best["predictions"] == answer["data"][0]["predictions"][:1]


def test_texts_are_labelled_by_labels_of_the_request(server: Server, classifier: Path) -> None:
    topics = ["cat", "lazy dog", "world"]
    for multi_label in (False, True):
        fields = {"candidate_labels": topics, "hypothesis_template": "on {}", "multi_label": multi_label}
        (item,) = ask(server, "classify", classifier, input=TEXT, **fields)["data"]
        told = pipeline("zero-shot-classification", str(classifier), device="cpu")(TEXT, **fields)
        expected = dict(zip(told["labels"], told["scores"], strict=True))
        assert scores(item["predictions"]) == pytest.approx(expected, abs=1e-5)


def test_names_are_found(server: Server, finder: Path) -> None:
    (item,) = ask(server, "classify", finder, input=TEXT, task="token-classification")["data"]
    reference = pipeline("token-classification", str(finder), device="cpu", aggregation_strategy="simple")
    expected = reference(TEXT)
    assert expected
    for span, told in zip(item["spans"], expected, strict=True):
        assert (span["label"], span["start"], span["end"]) == (told["entity_group"], told["start"], told["end"])
        assert span["score"] == pytest.approx(told["score"], abs=1e-5)
        assert span["text"] == TEXT[span["start"] : span["end"]]


def test_what_a_model_cannot_do_is_refused(server: Server, ranker: Path, classifier: Path, finder: Path) -> None:
    assert ask(server, "rerank", classifier, query="fox", documents=DOCUMENTS)["status"] == 501
    assert ask(server, "classify", finder, input=TEXT)["status"] == 501
    assert ask(server, "classify", ranker, input=TEXT, task="token-classification")["status"] == 501
    refused = ask(server, "classify", ranker, input=TEXT, candidate_labels=["cat"])
    assert (refused["status"], refused["error"]["param"]) == (400, "candidate_labels")
    long = ask(server, "classify", classifier, input=TEXT, candidate_labels=["cat", "x " * 200])
    assert (long["status"], long["error"]["param"]) == (400, "candidate_labels[1]")
    assert long["error"]["code"] == "context_length_exceeded"
