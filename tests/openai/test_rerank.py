"""POST /v1/rerank: which documents answer a query best."""

import json
from typing import Any

import httpx
import pytest

from clients import outcome, posted, using
from universal_core.http import decode
from universal_core.messages import RerankRequest
from universal_core.openai.rerank import MOST_DOCUMENTS, RerankBody

DOCUMENTS = ["nothing", "a red llama", "red", {"text": "the red llama"}]


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "echo/a", "query": "the red llama", "documents": DOCUMENTS, **fields}


def ranked(**fields: Any) -> list[dict[str, Any]]:
    response = posted("/v1/rerank", body(**fields))
    assert response.status_code == 200
    found: list[dict[str, Any]] = response.json()["results"]
    return found


def test_documents_come_in_the_order_of_their_scores() -> None:
    answer = posted("/v1/rerank", body()).json()
    assert [result["index"] for result in answer["results"]] == [3, 1, 2, 0]
    assert [result["relevance_score"] for result in answer["results"]] == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert all(result.keys() == {"index", "relevance_score"} for result in answer["results"])
    assert (answer["object"], answer["model"]) == ("list", "echo/a")
    assert answer["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    assert answer["id"].startswith("rerank-")


def test_equal_scores_keep_the_order_of_the_documents() -> None:
    assert [result["index"] for result in ranked(documents=["x", "red", "y", "llama"])] == [1, 3, 0, 2]


@pytest.mark.parametrize(("top_n", "expected"), [(1, [3]), (2, [3, 1]), (99, [3, 1, 2, 0]), (None, [3, 1, 2, 0])])
def test_the_best_are_all_that_is_shown_where_top_n_says_so(top_n: int | None, expected: list[int]) -> None:
    assert [result["index"] for result in ranked(top_n=top_n)] == expected


def test_documents_are_sent_back_where_that_is_asked_for() -> None:
    documents = [result["document"] for result in ranked(return_documents=True, top_n=2)]
    assert documents == [{"text": "the red llama"}, {"text": "a red llama"}]


def test_every_name_of_the_endpoint_answers_the_same() -> None:
    async def use(client: httpx.AsyncClient) -> None:
        found = [(await client.post(path, json=body())).json() for path in ("/v1/rerank", "/v2/rerank", "/rerank")]
        assert found[0]["results"] == found[1]["results"] == found[2]["results"]

    using(use)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"query": ""}, "query", ">= 1"),
        ({"query": None}, "query", "expected str"),
        ({"documents": []}, "documents", ">= 1"),
        ({"documents": "text"}, "documents", "expected array"),
        ({"documents": ["a", 1]}, "documents[1]", "got int"),
        ({"documents": [{"text": "a", "image": "b"}]}, "documents[0].image", "unknown field"),
        ({"documents": [{}]}, "documents[0].text", "required"),
        ({"documents": ["a"] * (MOST_DOCUMENTS + 1)}, "documents", f"at most {MOST_DOCUMENTS}"),
        ({"top_n": 0}, "top_n", ">= 1"),
        ({"max_tokens_per_doc": 5}, "max_tokens_per_doc", "unknown field"),
    ],
)
def test_what_is_wrong_is_refused_by_name(fields: dict[str, Any], param: str, words: str) -> None:
    response = posted("/v1/rerank", body(**fields))
    assert outcome(response) == (400, "invalid_value", param)
    assert words in response.json()["error"]["message"]


def test_the_model_scores_all_documents_whatever_is_shown() -> None:
    wire = decode(json.dumps(body(top_n=1, return_documents=True)).encode(), RerankBody)
    documents = ("nothing", "a red llama", "red", "the red llama")
    assert wire.to_request() == RerankRequest(query="the red llama", documents=documents)
