"""The endpoints over a real model, without a socket: statuses and shapes that clients rely on."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from clients import outcome, posted, using
from universal_core.config import Config, ModelConfig, ModelsConfig, PoolConfig


def chat(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "echo/a", "messages": [{"role": "user", "content": text}], **fields}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("prompt", ["die", ["fine", "die"]])
def test_a_completion_whose_model_dies_is_told_as_such(prompt: Any, stream: bool) -> None:
    response = posted("/v1/completions", {"model": "echo/a", "prompt": prompt, "stream": stream})
    if response.headers["content-type"] == "application/json":
        assert outcome(response) == (502, "worker_died", None)
    else:
        *_, last, _ = response.text.split("\n\n")
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "worker_died"


def test_a_completion_that_a_full_queue_refuses_is_told_as_such() -> None:
    config = Config(pool=PoolConfig(queue_limit=1), model={"echo/a": ModelConfig(options={"slots": 1, "delay": 0.01})})
    prompts = [f"word {number}" for number in range(20)]
    response = posted("/v1/completions", {"model": "echo/a", "prompt": prompts}, config)
    assert outcome(response) == (429, "queue_full", None)
    assert response.headers["retry-after"] == "1"


def test_a_field_that_the_model_cannot_honour_is_refused_before_it_is_loaded() -> None:
    async def use(client: httpx.AsyncClient) -> None:
        for fields, param in (({"n": 2}, "n"), ({"logprobs": True}, "logprobs"), ({"n_ctx": 8}, "n_ctx")):
            response = await client.post("/v1/chat/completions", json=chat("hi", **fields))
            assert outcome(response) == (400, "unsupported_field", param)
        response = await client.post("/v1/completions", json={"model": "echo/a", "prompt": "hi", "logprobs": 0})
        assert outcome(response) == (400, "unsupported_field", "logprobs")
        image = [{"type": "image_url", "image_url": {"url": "http://x"}}]
        body = {"model": "echo/a", "messages": [{"role": "user", "content": image}]}
        response = await client.post("/v1/chat/completions", json=body)
        assert outcome(response) == (400, "unsupported_field", "messages[0].content[0].image_url")
        response = await client.post("/v1/embeddings", json={"model": "echo/a", "input": "x", "dimensions": 5})
        assert outcome(response) == (400, "unsupported_field", "dimensions")
        assert (await client.get("/health")).json()["models"] == []

    using(use)


def test_the_default_model_answers_those_who_name_none() -> None:
    async def use(client: httpx.AsyncClient) -> None:
        for path, body in (
            ("chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
            ("completions", {"prompt": "hi"}),
            ("embeddings", {"input": "hi"}),
            ("tokenize", {"text": "hi"}),
            ("detokenize", {"tokens": [1]}),
            ("rerank", {"query": "hi", "documents": ["hi"]}),
        ):
            response = await client.post(f"/v1/{path}", json=body)
            assert (response.status_code, response.json()["model"]) == (200, "echo/a")

    using(use, Config(models=ModelsConfig(default="echo/a")))


def test_without_a_default_a_model_must_be_named() -> None:
    assert outcome(posted("/v1/embeddings", {"input": "hi"})) == (400, "invalid_value", "model")


def test_an_answer_that_takes_too_long_is_a_504() -> None:
    config = Config(pool=PoolConfig(request_timeout=0.2), model={"echo/a": ModelConfig(options={"delay": 0.02})})
    assert outcome(posted("/v1/chat/completions", chat("repeat 10000"), config)) == (504, "deadline_exceeded", None)


def test_what_cannot_fit_is_a_503_with_the_numbers() -> None:
    response = posted("/v1/chat/completions", chat("hi"), Config(pool=PoolConfig(memory_limit=1_000_000)))
    assert outcome(response) == (503, "insufficient_memory", None)
    assert "needs about 32.0 MB on cpu" in response.json()["error"]["message"]
    assert "of 1.0 MB are free" in response.json()["error"]["message"]


def test_those_who_wait_for_a_load_that_is_called_off_get_an_error() -> None:
    async def use(client: httpx.AsyncClient) -> None:
        waiting = asyncio.ensure_future(client.post("/v1/chat/completions", json=chat("hi")))
        while not (await client.get("/health")).json()["models"]:
            # Nothing here goes over a socket, so the loop would not turn by itself.
            await asyncio.wait({waiting}, timeout=0)
        unloaded = await client.post("/v1/models/unload", json={"model": "echo/a"})
        assert (unloaded.status_code, unloaded.json()["state"]) == (200, "unloaded")
        assert outcome(await waiting) == (503, "model_load_failed", None)

    using(use, Config(model={"echo/a": ModelConfig(options={"load_seconds": 5})}))


def test_a_load_is_answered_when_the_model_is_ready_and_a_failed_one_says_why() -> None:
    async def use(client: httpx.AsyncClient) -> None:
        response = await client.post("/v1/models/load", json={"model": "echo/a"})
        assert (response.status_code, response.json()["state"]) == (200, "ready")
        response = await client.post("/v1/models/load", json={"model": "echo/fail"})
        assert outcome(response) == (503, "model_load_failed", None)
        assert "this echo model never loads" in response.json()["error"]["message"]
        response = await client.post("/v1/models/load", json={"model": "echo/fail", "stream": True})
        assert "this echo model never loads" in response.text

    using(use)


def test_a_model_that_nobody_knows_is_a_404_on_every_endpoint() -> None:
    async def use(client: httpx.AsyncClient) -> None:
        for path, body in (
            ("chat/completions", {**chat("hi"), "model": "org/none"}),
            ("completions", {"model": "org/none", "prompt": "hi"}),
            ("embeddings", {"model": "org/none", "input": "hi"}),
            ("tokenize", {"model": "org/none", "text": "hi"}),
            ("detokenize", {"model": "org/none", "tokens": [1]}),
            ("rerank", {"model": "org/none", "query": "hi", "documents": ["hi"]}),
            ("models/load", {"model": "org/none"}),
            ("models/unload", {"model": "org/none"}),
        ):
            assert outcome(await client.post(f"/v1/{path}", json=body)) == (404, "model_not_found", "model")
        assert outcome(await client.get("/v1/models/org/none")) == (404, "model_not_found", "model")

    using(use)


def test_the_list_shows_configured_models_before_they_are_loaded() -> None:
    async def use(client: httpx.AsyncClient) -> None:
        rows = {row["id"]: row for row in (await client.get("/v1/models")).json()["data"]}
        assert rows["short"]["state"] == "configured"
        await client.post("/v1/models/load", json={"model": "short"})
        rows = {row["id"]: row for row in (await client.get("/v1/models")).json()["data"]}
        assert (rows["short"]["state"], rows["short"]["backend"]) == ("ready", "echo")

    using(use, Config(model={"short": ModelConfig(model="echo/long")}))
