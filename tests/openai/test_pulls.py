"""POST /v1/models/pull through a real server, against a small hub."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from hub_server import Hub, places, running_hub
from installed import install, on_path
from server import Server, running_server

PATIENCE = 60.0
CONFIG = json.dumps({"architectures": ["PulledModel"]}).encode()
WEIGHTS = os.urandom(1_000_000)
FILES = {"config.json": CONFIG, "model.safetensors": WEIGHTS, "pytorch_model.bin": b"b" * 1000}
NEEDED = ["config.json", "model.safetensors"]
SETTINGS = '[model.assistant]\nmodel = "org/aliased"\n'
PLUGIN = """
from universal_core import Backend, Claim, hookimpl
API_VERSION = 1

class Model:
    def __init__(self, info, options):
        pass

    def chat(self, request):
        return "here"

@hookimpl
def register_backends():
    return [Backend(name="pulled", model="universal_pulled:Model", tasks=("chat",))]

@hookimpl
def expand_name(ref):
    return "org/short" if ref.name == "shorty" else None

@hookimpl
def claim_model(info):
    if "PulledModel" in info.architectures:
        kind = info.ref.variant
        files = ("config.json", f"*{kind}.safetensors") if kind else ("*.json", "*.safetensors")
        return Claim(backend="pulled", tasks=("chat",), reason="a tiny one", files=files)
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Hub]:
    with running_hub() as found:
        yield found


@pytest.fixture(scope="module")
def server(running: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("pulled")
    install(folder / "plugin", "pulled", PLUGIN)
    (folder / "universal.toml").write_text(SETTINGS)
    environment = places(running, folder / "home", UNIVERSAL_RUNTIME_PLUGINS_BLOCK="audio,diffusion,gguf,text,vision")
    with (
        on_path(folder / "plugin"),
        running_server("--config", str(folder / "universal.toml"), env=environment) as found,
    ):
        yield found


@pytest.fixture
def hub(running: Hub) -> Iterator[Hub]:
    running.forget()
    yield running
    running.mend()


@pytest.fixture
def client(server: Server, hub: Hub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as found:
        yield found


def pull(client: httpx.Client, model: str, **fields: Any) -> httpx.Response:
    return client.post("/v1/models/pull", json={"model": model, **fields})


def events(response: httpx.Response) -> list[dict[str, Any]]:
    lines = response.text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def downloads(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/health").json()["downloads"]
    return found


def test_a_model_is_pulled_with_the_files_that_its_backend_needs_and_no_others(hub: Hub, client: httpx.Client) -> None:
    commit = hub.add("org/pulled", FILES)
    answer = pull(client, "org/pulled", stream=False).json()
    path = Path(answer.pop("path"))
    assert answer == {
        "model": "org/pulled",
        "status": "success",
        "size_bytes": len(CONFIG) + len(WEIGHTS),
        "revision": commit,
        "files": NEEDED,
    }
    assert sorted(file.name for file in path.iterdir()) == NEEDED
    hub.forget()
    assert pull(client, "org/pulled", stream=False).json()["status"] == "success"
    assert hub.count("GET /storage") == 0


def test_progress_comes_as_events_unless_it_is_not_wanted(hub: Hub, client: httpx.Client) -> None:
    hub.add("org/streamed", FILES)
    gate = hub.hold("model.safetensors", len(WEIGHTS) // 2)
    told = []
    with client.stream("POST", "/v1/models/pull", json={"model": "org/streamed"}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for line in response.iter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
                if told[-1].get("seconds_left"):
                    gate.open.set()
    half = next(event for event in told if event.get("seconds_left"))
    assert set(half) == {
        *("model", "status", "stage", "fraction", "files", "files_done", "bytes", "bytes_done"),
        *("bytes_per_second", "seconds_left"),
    }
    assert (half["status"], half["files"], half["bytes"]) == ("downloading", 2, len(CONFIG) + len(WEIGHTS))
    assert told[-1]["status"] == "success"
    assert told[-1]["files"] == NEEDED
    hub.forget()
    assert events(pull(client, "org/streamed"))[-1] == told[-1]
    assert hub.count("GET /storage") == 0


def test_a_second_pull_joins_the_first_and_a_load_joins_both(hub: Hub, client: httpx.Client) -> None:
    hub.add("org/joined", FILES)
    gate = hub.hold("model.safetensors", len(WEIGHTS) // 2)
    with ThreadPoolExecutor(3) as threads:
        pulls = [threads.submit(pull, client, "org/joined", stream=False) for _ in range(2)]
        gate.reached.wait(PATIENCE)
        load = threads.submit(client.post, "/v1/models/load", json={"model": "org/joined", "stream": True})
        [row] = downloads(client)
        assert (row["model"], row["status"], row["files"]) == ("org/joined", "downloading", 2)
        assert client.get("/v1/models/org/joined").json()["state"] == "downloading"
        gate.open.set()
        assert [found.result().status_code for found in pulls] == [200, 200]
        loaded = events(load.result())
    assert loaded[-1] == {"model": "org/joined", "status": "ready", "stage": "ready", "fraction": 1.0}
    assert hub.count("GET /storage") == 1
    assert downloads(client) == []


def test_a_client_that_leaves_ends_the_download_and_the_next_goes_on(
    hub: Hub, server: Server, client: httpx.Client
) -> None:
    hub.add("org/gone", FILES)
    gate = hub.hold("model.safetensors", len(WEIGHTS) // 2)
    with client.stream("POST", "/v1/models/pull", json={"model": "org/gone"}) as response:
        for line in response.iter_lines():
            if line.startswith("data: ") and json.loads(line.removeprefix("data: ")).get("bytes_done", 0) > 100_000:
                # Reading no further closes the connection.
                [row] = downloads(client)
                process = psutil.Process(row["pid"])
                break
    psutil.wait_procs([process], PATIENCE)
    assert not process.is_running()
    gate.open.set()
    hub.mend()
    assert pull(client, "org/gone", stream=False).status_code == 200
    assert [file for file, start in hub.ranges if start] == ["model.safetensors"]


def test_revisions_variants_aliases_and_short_names_are_pulled(hub: Hub, client: httpx.Client) -> None:
    old = hub.add("org/named", {**FILES, "old.json": b"{}"}, "v1")
    hub.add("org/named", FILES)
    for name in ("org/short", "org/aliased"):
        hub.add(name, FILES)
    kinds = {f"m-{kind}.safetensors": kind.encode() for kind in ("big", "small")}
    hub.add("org/kinds", {"config.json": CONFIG, **kinds})
    answer = pull(client, "org/named@v1", stream=False).json()
    assert (answer["revision"], "old.json" in answer["files"]) == (old, True)
    assert pull(client, "org/kinds:small", stream=False).json()["files"] == ["config.json", "m-small.safetensors"]
    assert "org--short" in pull(client, "shorty", stream=False).json()["path"]
    answer = pull(client, "assistant", stream=False).json()
    assert (answer["model"], "org--aliased" in answer["path"]) == ("assistant", True)


@pytest.mark.parametrize("stream", [True, False])
def test_what_cannot_be_pulled_is_refused_with_a_status(hub: Hub, client: httpx.Client, stream: bool) -> None:
    hub.add("org/gated", FILES)
    hub.gated.add("org/gated")
    hub.add("org/unknown", {"config.json": b"{}", "model.safetensors": WEIGHTS})
    hub.add("org/versions", FILES)
    for name, status in (
        ("org/gated", 403),
        ("org/nothing", 404),
        ("org/versions@v9", 404),
        ("org/unknown", 501),
    ):
        response = pull(client, name, stream=stream)
        assert (response.status_code, response.json()["error"]["param"]) == (status, "model"), response.text
    hub.gated.clear()
    assert hub.count("GET /storage") == 0
    assert client.post("/v1/models/pull", json={"model": "org/x", "force": True}).status_code == 400


def test_an_error_that_comes_later_is_the_last_event(hub: Hub, client: httpx.Client) -> None:
    hub.add("org/late", FILES)
    hub.damaged.add("model.safetensors")
    gate = hub.hold("model.safetensors", 500_000)
    told = []
    with client.stream("POST", "/v1/models/pull", json={"model": "org/late"}) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
                gate.open.set()
    assert told[-1]["error"]["code"] == "model_load_failed"
    assert "arrived damaged" in told[-1]["error"]["message"]
    assert client.get("/health").status_code == 200


def test_what_is_being_downloaded_is_listed_as_such_and_not_deleted_before_its_end(
    hub: Hub, client: httpx.Client
) -> None:
    hub.add("org/busy", FILES)
    gate = hub.hold("model.safetensors", len(WEIGHTS) // 2)
    with ThreadPoolExecutor(1) as threads:
        pulling = threads.submit(pull, client, "org/busy", stream=False)
        gate.reached.wait(PATIENCE)
        rows = {row["id"]: row for row in client.get("/v1/models").json()["data"]}
        assert rows["org/busy"]["state"] == "downloading"
        response = client.delete("/v1/models/org/busy")
        assert (response.status_code, response.json()["error"]["code"]) == (409, "model_in_use")
        assert "is being downloaded" in response.json()["error"]["message"]
        gate.open.set()
        assert pulling.result().status_code == 200
    assert client.get("/v1/models/org/busy").json()["state"] == "cached"
    assert client.delete("/v1/models/org/busy").json()["freed_bytes"] >= len(WEIGHTS)
    # What was deleted is fetched again by the next who asks for it.
    assert pull(client, "org/busy", stream=False).json()["status"] == "success"


def test_what_a_broken_download_has_left_is_listed_as_incomplete_and_deleted(hub: Hub, client: httpx.Client) -> None:
    hub.add("org/left", FILES)
    hub.broken["model.safetensors"] = 410
    assert pull(client, "org/left", stream=False).status_code == 503
    row = client.get("/v1/models/org/left").json()
    assert (row["state"], row["size_bytes"] >= len(CONFIG)) == ("incomplete", True)
    assert client.delete("/v1/models/org/left").json()["freed_bytes"] == row["size_bytes"]
    assert "org/left" not in {row["id"] for row in client.get("/v1/models").json()["data"]}
