"""Names of quantizations through a real server and a small hub: what is downloaded, and what is refused."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub_server import Hub, running_hub
from server import running_server
from tiny.gguf import make_gguf_llama

KINDS = ("Q2_K", "Q4_K_M", "Q5_K_M", "Q8_0", "F16")
REPO = "org/Tiny-GGUF"
SNAPSHOTS = "models--org--Tiny-GGUF/snapshots"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    model = make_gguf_llama(tmp_path_factory.mktemp("tiny") / "m.gguf", hidden=64, feed_forward=64).read_bytes()
    with running_hub() as found:
        found.add(REPO, {"README.md": b"#", **{f"tiny-{kind}.gguf": model for kind in KINDS}})
        found.told[REPO] = {"gguf": {"architecture": "llama", "context_length": 512}, "pipeline_tag": "text-generation"}
        yield found


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def client(hub: Hub, cache: Path) -> Iterator[httpx.Client]:
    places = {"HF_ENDPOINT": hub.url, "HF_HOME": str(cache), "HF_HUB_CACHE": str(cache)}
    with (
        running_server(env=places | {"HF_HUB_OFFLINE": "0", "HF_TOKEN": ""}) as server,
        httpx.Client(base_url=server.url, timeout=60) as found,
    ):
        yield found


def cached(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / SNAPSHOTS).glob("*/*"))


def test_a_quantization_that_is_not_there_is_a_404_that_lists_all_that_are(client: httpx.Client, cache: Path) -> None:
    for path in ("/v1/chat/completions", "/v1/models/load"):
        body = {"model": f"{REPO}:Q9"} | ({"messages": [{"role": "user", "content": "hi"}]} if "chat" in path else {})
        response = client.post(path, json=body)
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
        assert f"{REPO} has no Q9 there; it has F16, Q2_K, Q4_K_M, Q5_K_M, Q8_0" in error["message"]
    assert cached(cache) == []


def test_only_the_quantization_that_was_asked_for_is_downloaded(client: httpx.Client, hub: Hub, cache: Path) -> None:
    row = client.get(f"/v1/models/{REPO}:q5_k_m").json()
    assert (row["state"], row["backend"], row["tasks"][0]) == ("remote", "gguf", "chat")
    assert hub.count("resolve") == 0
    client.post("/v1/models/load", json={"model": f"{REPO}:q5_k_m"})
    assert cached(cache) == ["tiny-Q5_K_M.gguf"]
    hub.forget()
    row = client.get(f"/v1/models/{REPO}:Q5_K_M").json()
    assert (row["state"], row["backend"]) == ("cached", "gguf")
    assert hub.requests == []
    assert client.get("/v1/models").status_code == 200


def test_a_damaged_file_says_what_is_wrong_and_the_server_goes_on(client: httpx.Client, hub: Hub) -> None:
    damaged = {"page-Q8_0.gguf": b"<!DOCTYPE html><html>Please log in</html>", "cut-Q2_K.gguf": b"GGUF" + bytes(20)}
    hub.add("org/Broken-GGUF", damaged)
    for variant, words in (("Q8_0", "it is a web page"), ("Q2_K", "has version 0 of the GGUF format")):
        response = client.post("/v1/models/load", json={"model": f"org/Broken-GGUF:{variant}"})
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (503, "model_load_failed")
        assert words in error["message"]
    rows = {row["id"]: row for row in client.get("/v1/models").json()["data"]}
    assert rows["org/Broken-GGUF"]["backend"] == "gguf"
    assert client.get("/health").status_code == 200
