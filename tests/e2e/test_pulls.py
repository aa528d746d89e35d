"""Pulls of real models, made on the spot, with the plugins that run them: what comes from the hub, and what not."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub_server import Hub, places, running_hub
from server import running_server

PATIENCE = 60.0
KINDS = ("Q2_K", "Q4_K_M", "Q8_0")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    pytest.importorskip("universal_gguf")
    pytest.importorskip("universal_text")
    from tiny.causal import make_llama
    from tiny.gguf import make_gguf_llama

    folder = tmp_path_factory.mktemp("models")
    with running_hub() as found:
        model = make_gguf_llama(folder / "m.gguf", hidden=64, feed_forward=64).read_bytes()
        found.add("org/Tiny-GGUF", {"README.md": b"#", **{f"tiny-{kind}.gguf": model for kind in KINDS}})
        found.told["org/Tiny-GGUF"] = {"gguf": {"architecture": "llama", "context_length": 512}}
        text = make_llama(folder / "text")
        files = {path.name: path.read_bytes() for path in text.iterdir()}
        found.add("org/tiny-text", {**files, "pytorch_model.bin": b"b" * 1000, "tf_model.h5": b"h" * 1000})
        yield found


@pytest.fixture(scope="module")
def client(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    environment = places(hub, tmp_path_factory.mktemp("home"))
    with (
        running_server(env=environment) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE) as found,
    ):
        yield found


def pulled(client: httpx.Client, model: str) -> list[str]:
    """Return the names of the files that are on this machine after a pull."""
    response = client.post("/v1/models/pull", json={"model": model, "stream": False})
    assert response.status_code == 200, response.text
    return sorted(path.name for path in Path(response.json()["path"]).iterdir())


def test_of_many_quantizations_only_the_one_that_is_asked_for_is_pulled(client: httpx.Client, hub: Hub) -> None:
    assert pulled(client, "org/Tiny-GGUF:q4_k_m") == ["tiny-Q4_K_M.gguf"]
    assert hub.count("GET /storage") == 1


def test_of_two_formats_the_safe_one_is_pulled_and_the_model_runs(client: httpx.Client, hub: Hub) -> None:
    hub.forget()
    names = pulled(client, "org/tiny-text")
    assert "model.safetensors" in names
    assert not {"pytorch_model.bin", "tf_model.h5"} & set(names)
    assert hub.count("GET /storage") == 1
    hub.forget()
    body = {"model": "org/tiny-text", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    assert hub.count("/resolve/") == 0
