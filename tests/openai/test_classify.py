"""POST /v1/classify: labels for texts, labels of the client's own, and what is found in texts."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from clients import outcome, posted, using
from universal_core.http import decode
from universal_core.messages import ClassifyRequest, ClassifyTokensRequest
from universal_core.openai import LONGEST_LABEL, MOST_INPUTS, MOST_LABELS
from universal_core.openai.classify import MOST_PAIRS, ClassifyBody

PAIR = {"text": "it rains", "text_pair": "it is wet"}


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "echo/a", "input": ["a llama", "42"], **fields}


def asked(**fields: Any) -> ClassifyRequest | ClassifyTokensRequest:
    return decode(json.dumps(body(**fields)).encode(), ClassifyBody).to_request()


def labels(answer: dict[str, Any]) -> list[list[str]]:
    return [[one["label"] for one in item["predictions"]] for item in answer["data"]]


def test_every_input_has_its_labels() -> None:
    response = posted("/v1/classify", body())
    assert response.status_code == 200
    assert response.json() == {
        "object": "list",
        "data": [
            {
                "index": 0,
                "predictions": [{"label": "7 characters", "score": 0.9}, {"label": "one text", "score": 0.5}],
            },
            {
                "index": 1,
                "predictions": [{"label": "2 characters", "score": 0.9}, {"label": "one text", "score": 0.5}],
            },
        ],
        "model": "echo/a",
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }


@pytest.mark.parametrize("single", ["a llama", {"text": "a llama"}, ["a llama"]])
def test_a_single_input_needs_no_list(single: Any) -> None:
    assert labels(posted("/v1/classify", body(input=single)).json()) == [["7 characters", "one text"]]


def test_two_texts_are_read_together() -> None:
    assert labels(posted("/v1/classify", body(input=[PAIR])).json()) == [["17 characters", "two texts"]]


def test_top_k_tells_only_the_likeliest() -> None:
    assert labels(posted("/v1/classify", body(top_k=1)).json()) == [["7 characters"], ["2 characters"]]


def test_labels_of_the_client_have_scores_that_add_up_to_one() -> None:
    (first, _) = posted("/v1/classify", body(candidate_labels=["x", "yyy"])).json()["data"]
    assert {one["label"] for one in first["predictions"]} == {"x", "yyy"}
    assert sum(one["score"] for one in first["predictions"]) == pytest.approx(1)


def test_labels_that_may_all_fit_have_scores_of_their_own() -> None:
    (first, _) = posted("/v1/classify", body(candidate_labels="x, yyy", multi_label=True)).json()["data"]
    assert sum(one["score"] for one in first["predictions"]) != pytest.approx(1)


def test_what_is_found_in_a_text_has_its_place() -> None:
    answer = posted("/v1/classify", body(input=["öäü 42 and 7", "none"], task="token-classification")).json()
    assert answer["data"] == [
        {
            "index": 0,
            "spans": [
                {"label": "NUMBER", "score": 1.0, "text": "42", "start": 4, "end": 6},
                {"label": "NUMBER", "score": 1.0, "text": "7", "start": 11, "end": 12},
            ],
        },
        {"index": 1, "spans": []},
    ]
    assert (answer["object"], answer["model"]) == ("list", "echo/a")
    assert answer["usage"] == {"prompt_tokens": 2, "total_tokens": 2}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ClassifyRequest(input=("a llama", "42"))),
        ({"task": "text-classification", "top_k": 3}, ClassifyRequest(input=("a llama", "42"), top_k=3)),
        ({"input": [PAIR, "a"]}, ClassifyRequest(input=(("it rains", "it is wet"), "a"))),
        ({"candidate_labels": "a, b"}, ClassifyRequest(input=("a llama", "42"), labels=("a", "b"))),
        (
            {"candidate_labels": ["a, b"], "hypothesis_template": "{}!", "multi_label": True, "top_k": 1},
            ClassifyRequest(
                input=("a llama", "42"), labels=("a, b",), hypothesis_template="{}!", multi_label=True, top_k=1
            ),
        ),
        ({"task": "token-classification"}, ClassifyTokensRequest(input=("a llama", "42"))),
        ({"user": "me", "input": "x"}, ClassifyRequest(input=("x",))),
    ],
)
def test_every_field_reaches_the_model(
    fields: dict[str, Any], expected: ClassifyRequest | ClassifyTokensRequest
) -> None:
    assert asked(**fields) == expected


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"input": []}, "input", ">= 1"),
        ({"input": 5}, "input", "got int"),
        ({"input": ["a", 1]}, "input[1]", "got int"),
        ({"input": [{"text": "a", "image": "b"}]}, "input[0].image", "unknown field"),
        ({"input": ["a"] * (MOST_INPUTS + 1)}, "input", f"at most {MOST_INPUTS}"),
        ({"input": ["a", "damaged"]}, "input[1]", "damaged"),
        ({"top_k": 0}, "top_k", ">= 1"),
        ({"task": "fill-mask"}, "task", "fill-mask"),
        ({"hypothesis_template": "about {}"}, "hypothesis_template", "together with candidate_labels"),
        ({"multi_label": False}, "multi_label", "together with candidate_labels"),
        ({"candidate_labels": []}, "candidate_labels", ">= 1"),
        ({"candidate_labels": "a,,b"}, "candidate_labels[1]", f"1 to {LONGEST_LABEL}"),
        ({"candidate_labels": ["a"] * (MOST_LABELS + 1)}, "candidate_labels", f"<= {MOST_LABELS}"),
        ({"candidate_labels": ["a"], "hypothesis_template": "about"}, "hypothesis_template", "{} once"),
        ({"candidate_labels": ["a"], "input": ["x", PAIR]}, "input[1].text_pair", "not together"),
        (
            {"candidate_labels": ["a"] * 100, "input": ["x"] * 200},
            "candidate_labels",
            f"20000 pairs to read, and at most {MOST_PAIRS}",
        ),
        ({"task": "token-classification", "top_k": 1}, "top_k", "not for token-classification"),
        ({"task": "token-classification", "candidate_labels": "a"}, "candidate_labels", "not for token-classification"),
        ({"task": "token-classification", "multi_label": True}, "multi_label", "not for token-classification"),
        ({"task": "token-classification", "input": [PAIR]}, "input[0].text_pair", "single texts"),
        ({"aggregation_strategy": "max"}, "aggregation_strategy", "unknown field"),
    ],
)
def test_what_is_wrong_is_refused_by_name(fields: dict[str, Any], param: str, words: str) -> None:
    response = posted("/v1/classify", body(**fields))
    assert outcome(response) == (400, "invalid_value", param)
    assert words in response.json()["error"]["message"]


def test_requests_at_once_have_the_answers_that_each_has_alone() -> None:
    bodies = [body(input=["x" * size], candidate_labels=["a", "bb"]) for size in range(1, 6)]

    async def use(client: httpx.AsyncClient) -> None:
        alone = [(await client.post("/v1/classify", json=one)).json() for one in bodies]
        together = await asyncio.gather(*(client.post("/v1/classify", json=one) for one in bodies))
        assert [response.json() for response in together] == alone

    using(use)
