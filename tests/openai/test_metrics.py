"""GET /metrics: its formats, its labels for HTTP, and when it answers."""

from typing import Any

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics

from clients import outcome, using
from scraping import Scrape
from universal_core.config import Config, MetricsConfig

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def chat(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "echo/a", "messages": [{"role": "user", "content": text}], **fields}


def test_the_answer_is_prometheus_text_or_openmetrics_by_accept() -> None:
    async def use(client: httpx.AsyncClient) -> tuple[httpx.Response, httpx.Response]:
        await client.post("/v1/chat/completions", json=chat("hello there"))
        return await client.get("/metrics"), await client.get("/metrics", headers={"accept": OPENMETRICS})

    plain, openmetrics = using(use)
    assert plain.headers["content-type"].startswith("text/plain")
    assert Scrape(plain.text).value("requests_total", model="echo/a", outcome="ok") == 1
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    families = {family.name: family for family in read_openmetrics(openmetrics.text)}
    assert families["universal_requests"].samples[0].value == 1


def test_http_requests_count_by_route_method_and_class_of_status() -> None:
    async def use(client: httpx.AsyncClient) -> Scrape:
        for _ in range(2):
            await client.get("/v1/models/echo/a")
            await client.get("/v1/models/echo/b")
        await client.post("/v1/chat/completions", json=chat("hello"))
        await client.post("/v1/chat/completions", json={"model": "echo/a"})
        await client.get("/v1/chat/completions")
        for path in ("/no/such/path", "/nor/this"):
            await client.get(path)
        await client.request("BREW", "/health")
        return Scrape((await client.get("/metrics")).text)

    found = using(use)
    assert found.value("http_requests_total", route="/v1/models/{model}", method="GET", status="2xx") == 4
    chats = {"route": "/v1/chat/completions"}
    assert found.value("http_requests_total", **chats, method="POST", status="2xx") == 1
    assert found.value("http_requests_total", **chats, method="POST", status="4xx") == 1
    assert found.value("http_requests_total", **chats, method="GET", status="4xx") == 1
    assert found.value("http_requests_total", route="other", method="GET", status="4xx") == 2
    assert found.value("http_requests_total", method="other") == 1
    assert found.value("http_requests_in_flight") == 1  # The scrape itself.


def test_it_answers_while_the_server_stops() -> None:
    async def main(client: httpx.AsyncClient) -> Scrape:
        transport: Any = client._transport
        transport.app.state.runtime.pool.draining = True
        refused = await client.post("/v1/chat/completions", json=chat("hello"))
        assert outcome(refused) == (503, "draining", None)
        return Scrape((await client.get("/metrics")).text)

    assert using(main).value("draining") == 1


def test_without_metrics_there_is_no_endpoint() -> None:
    async def use(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get("/metrics")

    response = using(use, Config(metrics=MetricsConfig(enabled=False)))
    assert outcome(response) == (404, "not_found", None)
