"""Requests of several clients are looked at together, and none of them harms another."""

import asyncio
import base64
from typing import Any

import httpx

from clients import outcome, using
from universal_core.config import Config, ModelConfig

SLOW = Config(model={"echo/counts": ModelConfig(options={"delay": 0.2, "slots": 16})})


def body(*pictures: bytes) -> dict[str, Any]:
    images = ["data:;base64," + base64.b64encode(picture).decode() for picture in pictures]
    return {"model": "echo/counts", "images": images}


async def post(client: httpx.AsyncClient, *pictures: bytes) -> httpx.Response:
    return await client.post("/v1/vision/classify", json=body(*pictures))


def labels(response: httpx.Response) -> list[list[str]]:
    assert response.status_code == 200, response.text
    return [[one["label"] for one in item["predictions"]] for item in response.json()["data"]]


def test_what_waits_while_the_model_works_is_looked_at_together() -> None:
    async def use(client: httpx.AsyncClient) -> None:
        await post(client, b"so that the model is loaded")
        found = [labels(one) for one in await asyncio.gather(*(post(client, bytes([n]) * n) for n in range(1, 9)))]
        assert [labels[0][1] for labels in found] == [f"{n} bytes" for n in range(1, 9)]
        assert max(int(labels[0][0].split()[0]) for labels in found) > 1

    using(use, SLOW)


def test_a_damaged_picture_fails_its_own_request_alone() -> None:
    async def use(client: httpx.AsyncClient) -> None:
        await post(client, b"so that the model is loaded")
        answers = await asyncio.gather(
            post(client, b"first"),
            post(client, b"second", b"damaged"),
            post(client, b"third one", b"fine"),
            post(client, b"damaged"),
        )
        assert outcome(answers[1]) == (400, "invalid_value", "images[1]")
        assert outcome(answers[3]) == (400, "invalid_value", "images[0]")
        assert [labels(answers[0])[0][1], labels(answers[2])[0][1]] == ["5 bytes", "9 bytes"]
        assert "together" in labels(answers[2])[0][0]

    using(use, SLOW)
