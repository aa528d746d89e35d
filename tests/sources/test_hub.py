"""The HuggingFace hub and its cache, against a small hub that speaks the real client's protocol."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub_server import Hub, places, point_to, running_hub
from installed import install, on_path
from server import Server, running_server
from universal_core import Claim, ModelInfo, ModelNotFound, ModelRef, Progress
from universal_core.errors import Forbidden, LoadFailed
from universal_core.sources.cache import list_models
from universal_core.sources.hub import fetch_model, find_model

PATIENCE = 30.0
CONFIG = json.dumps({"architectures": ["TinyModel"]}).encode()
WEIGHTS = b"w" * 300_000
WHOLE = {
    "config.json": CONFIG,
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"b" * 1000,
    "flax_model.msgpack": b"m" * 1000,
    "onnx/model.onnx": b"o" * 1000,
    "tokenizer.json": b"{}",
    "README.md": b"# tiny",
}
NEEDED = ["config.json", "model.safetensors", "tokenizer.json"]

# Tells which files it was given; the answer to "chat" is their names.
PLUGIN = """
from pathlib import Path
from universal_core import Backend, Claim, MemoryEstimate, hookimpl
API_VERSION = 1

class Model:
    def __init__(self, info, options):
        self.names = sorted(path.name for path in Path(info.path).rglob("*") if path.is_file())

    def chat(self, request):
        return " ".join(self.names)

@hookimpl
def register_backends():
    return [Backend(name="tiny", model="universal_tiny:Model", tasks=("chat",))]

@hookimpl
def claim_model(info):
    if "TinyModel" in info.architectures:
        files = ("*.json", "*.safetensors")
        memory = MemoryEstimate(weights=info.size_of(*files))
        return Claim(backend="tiny", tasks=("chat",), reason="a tiny one", files=files, memory=memory)
"""


CLAIM = Claim(backend="tiny", tasks=("chat",), reason="a tiny one", files=("*.json", "*.safetensors"))


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with running_hub() as found:
        yield found


@pytest.fixture
def here(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Let this process ask the hub; the library reads its environment when it is imported."""
    from huggingface_hub import close_session

    point_to(monkeypatch, hub.url, tmp_path / "cache")
    hub.forget()
    close_session()
    yield hub
    hub.mend()
    close_session()


def find(text: str) -> ModelInfo:
    found = find_model(ModelRef.parse(text))
    assert found is not None
    return found


def fetch(info: ModelInfo, claim: Claim = CLAIM) -> tuple[ModelInfo, list[Progress]]:
    reported: list[Progress] = []
    return fetch_model(info, claim, reported.append) or info, reported


def names(info: ModelInfo) -> list[str]:
    return [file.name for file in info.files]


def test_what_is_on_the_hub_is_known_without_its_weights(here: Hub) -> None:
    commit = here.add("org/whole", WHOLE)
    info = find("org/whole")
    assert (info.id, info.source, info.path, info.revision) == ("org/whole", "HuggingFace hub", None, commit)
    assert info.architectures == ("TinyModel",)
    assert info.size_of("*.safetensors") == len(WEIGHTS)
    assert sorted(names(info)) == sorted(WHOLE)
    assert here.count("model.safetensors") == 0


def test_only_the_files_that_the_claim_names_are_downloaded(here: Hub) -> None:
    here.add("org/whole", WHOLE)
    info, _ = fetch(find("org/whole"))
    assert names(info) == NEEDED
    fetched = {line.rpartition("/")[2] for line in here.requests if line.startswith("GET") and "/resolve/" in line}
    assert fetched == set(NEEDED)


def test_download_progress_grows_to_the_whole(here: Hub) -> None:
    here.add("org/whole", WHOLE)
    _, reported = fetch(find("org/whole"))
    shares = [progress.fraction for progress in reported]
    assert {progress.stage for progress in reported} <= {"downloading", "checking"}
    assert all(share is not None for share in shares)
    assert shares == sorted(shares, key=float)
    assert shares[-1] == pytest.approx(1.0, abs=0.01)


def test_what_was_downloaded_is_found_again_without_a_request(here: Hub) -> None:
    here.add("org/whole", WHOLE)
    fetch(find("org/whole"))
    here.forget()
    info = find("org/whole")
    assert (info.source, names(info)) == ("HuggingFace cache", NEEDED)
    assert info.path is not None
    assert fetch_model(info, CLAIM, lambda progress: None) is None
    assert here.requests == []


def test_what_was_downloaded_is_found_again_offline(here: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    here.add("org/whole", WHOLE)
    fetch(find("org/whole"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    here.forget()
    assert names(find("org/whole")) == NEEDED
    assert find_model(ModelRef.parse("org/never-seen")) is None
    assert here.requests == []


def test_what_was_downloaded_is_listed(here: Hub) -> None:
    commit = here.add("org/whole", WHOLE)
    fetch(find("org/whole"))
    assert [(info.id, info.revision, names(info)) for info in list_models()] == [("org/whole", commit, NEEDED)]


def test_a_revision_is_picked_by_the_name_behind_the_at(here: Hub) -> None:
    new = here.add("org/versions", {"config.json": CONFIG, "model.safetensors": b"new", "new.json": b"{}"})
    old = here.add("org/versions", {"config.json": CONFIG, "model.safetensors": b"old", "old.json": b"{}"}, "v1")
    for text, commit, extra in (("@v1", old, "old.json"), ("", new, "new.json"), (f"@{old}", old, "old.json")):
        info, _ = fetch(find(f"org/versions{text}"))
        assert info.revision == commit
        assert extra in names(info)
    here.forget()
    assert [find(f"org/versions{text}").revision for text in ("@v1", "", f"@{old}")] == [old, new, old]
    assert here.requests == []


def test_a_revision_that_does_not_exist_is_not_found(here: Hub) -> None:
    here.add("org/one", WHOLE)
    with pytest.raises(ModelNotFound, match="org/one has no revision 'v9' on the hub"):
        find("org/one@v9")


def test_a_repository_that_does_not_exist_is_left_to_other_sources(here: Hub) -> None:
    assert find_model(ModelRef.parse("org/nothing")) is None


@pytest.mark.parametrize(
    "name", ["../up", "org/../up", "a/b/c", "org/--x", "/abs", "./rel", "org/", "", "org/a--b", "é/x"]
)
def test_what_cannot_be_a_repository_is_never_asked_for(here: Hub, name: str) -> None:
    assert find_model(ModelRef.parse(name)) is None
    assert here.requests == []


def test_a_gated_model_says_what_to_do(here: Hub) -> None:
    here.add("org/gated", WHOLE)
    here.gated.add("org/gated")
    with pytest.raises(Forbidden) as raised:
        find("org/gated")
    for part in ("https://huggingface.co/org/gated", "https://huggingface.co/settings/tokens", "HF_TOKEN=hf_"):
        assert part in raised.value.message
    assert raised.value.param == "model"


def test_a_token_that_may_not_read_a_gated_model_is_told_so(here: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    here.add("org/gated", WHOLE)
    here.gated.add("org/gated")
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(Forbidden, match="this HF_TOKEN may not read it") as raised:
        find("org/gated")
    assert "hf_other" not in raised.value.message


def test_a_gated_model_is_there_for_those_whose_token_may_read_it(here: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    here.add("org/gated", WHOLE)
    here.gated.add("org/gated")
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    assert names(fetch(find("org/gated"))[0]) == NEEDED


def test_a_hub_that_cannot_be_reached_is_told_as_such(
    here: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_hub() as gone:
        point_to(monkeypatch, gone.url, tmp_path / "cache")
    with pytest.raises(ModelNotFound, match="not in the cache of this machine, and the hub cannot be reached"):
        find("org/far")


def test_an_interrupted_download_is_resumed_by_the_next_try(here: Hub) -> None:
    here.add("org/torn", WHOLE)
    here.refuse("GET /org/torn/resolve/", 410, times=2)
    with pytest.raises(LoadFailed, match="the next try goes on where this one stopped"):
        fetch(find("org/torn"))
    here.mend()
    assert names(fetch(find("org/torn"))[0]) == NEEDED


def test_a_cache_that_lacks_a_shard_is_completed_from_the_hub(here: Hub, tmp_path: Path) -> None:
    index = json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}).encode()
    whole = {
        "config.json": CONFIG,
        "model.safetensors.index.json": index,
        "one.safetensors": b"1",
        "two.safetensors": b"2",
    }
    commit = here.add("org/shards", whole)
    info, _ = fetch(find("org/shards"))
    refs = tmp_path / "cache" / "models--org--shards" / "refs"
    refs.mkdir(exist_ok=True)
    (refs / "main").write_text(commit)
    (Path(info.path or "") / "two.safetensors").unlink()
    info, _ = fetch(find("org/shards"))
    assert "two.safetensors" in names(info)


GGUF = {f"m-{kind}.gguf": kind.encode() * 100 for kind in ("Q2_K", "Q4_K_M", "Q8_0", "BF16")}


def only(*files: str) -> Claim:
    return Claim(backend="tiny", tasks=("chat",), reason="some files", files=files)


def test_what_the_hub_tells_of_gguf_files_is_a_document(here: Hub) -> None:
    here.add("org/told", GGUF)
    told = {"architecture": "qwen3", "context_length": 40960, "chat_template": "{{ x }}", "total": 7}
    here.told["org/told"] = {"gguf": told, "pipeline_tag": "text-generation"}
    assert find("org/told").documents["hub"] == {"gguf": told, "pipeline_tag": "text-generation"}
    here.add("org/plain", WHOLE)
    assert "hub" not in find("org/plain").documents


def test_a_variant_that_is_cached_is_found_without_a_request_and_another_is_asked_for(here: Hub) -> None:
    here.add("org/quants", GGUF)
    fetch(find("org/quants:Q8_0"), only("m-Q8_0.gguf"))
    here.forget()
    for text in ("", ":Q8_0", ":q8_0", ":m-Q8_0", ":m-Q8_0.gguf", ":Q8-0"):
        assert (find(f"org/quants{text}").source, names(find(f"org/quants{text}"))) == (
            "HuggingFace cache",
            ["m-Q8_0.gguf"],
        )
    assert here.requests == []
    info, _ = fetch(find("org/quants:Q2_K"), only("m-Q2_K.gguf"))
    assert names(info) == ["m-Q2_K.gguf", "m-Q8_0.gguf"]


@pytest.mark.parametrize("variant", ["Q4_K", "F16", "Q8", "4_K_M", "Q9"])
def test_a_part_of_a_cached_files_word_is_no_variant(here: Hub, variant: str) -> None:
    here.add("org/words", GGUF)
    fetch(find("org/words"), only("*.gguf"))
    here.forget()
    found = find(f"org/words:{variant}")
    assert found.source == "HuggingFace hub"
    assert here.requests


def test_offline_what_is_cached_is_all_there_is_whatever_the_variant(
    here: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.add("org/offline", GGUF)
    fetch(find("org/offline:Q8_0"), only("m-Q8_0.gguf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    here.forget()
    assert names(find("org/offline:Q2_K")) == ["m-Q8_0.gguf"]
    assert here.requests == []


@pytest.mark.parametrize("suffix", ["gguf", "safetensors"])
def test_a_model_in_parts_is_whole_with_all_of_them(here: Hub, suffix: str) -> None:
    parts = {f"q8/m-Q8_0-0000{number}-of-00003.{suffix}": bytes([number]) * 100 for number in (1, 2, 3)}
    other = f"m-Q2_K.{suffix}"
    here.add("org/parts", {**parts, other: b"x" * 50})
    fetch(find("org/parts:Q2_K"), only(other))
    info, _ = fetch(find("org/parts:Q8_0"), only("q8/*-0000[12]-*"))
    assert len(names(info)) == 3
    here.forget()
    assert find("org/parts:Q2_K").source == "HuggingFace cache"
    assert here.requests == []
    assert find("org/parts:Q8_0").source == "HuggingFace hub"
    fetch(find("org/parts:Q8_0"), only("q8/*"))
    here.forget()
    assert find("org/parts:Q8_0").source == find("org/parts").source == "HuggingFace cache"
    assert here.requests == []


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("tiny")
    install(folder, "tiny", PLUGIN)
    with on_path(folder):
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def server(hub: Hub, cache: Path, plugin: None) -> Iterator[Server]:
    with running_server(env=places(hub, cache)) as found:
        yield found


@pytest.fixture
def client(server: Server, hub: Hub) -> Iterator[httpx.Client]:
    hub.forget()
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as found:
        yield found


def ask(client: httpx.Client, model: str) -> httpx.Response:
    return client.post("/v1/chat/completions", json={"model": model, "messages": [{"role": "user", "content": "?"}]})


def error(response: httpx.Response) -> Mapping[str, Any]:
    found: Mapping[str, Any] = response.json()["error"]
    return found


def test_a_request_downloads_its_model_and_the_next_one_asks_the_hub_nothing(hub: Hub, client: httpx.Client) -> None:
    hub.add("org/served", WHOLE)
    for _ in range(2):
        response = ask(client, "org/served")
        assert response.status_code == 200, response.text
        assert response.json()["choices"][0]["message"]["content"].split() == NEEDED
        asked = list(hub.requests)
        hub.forget()
        assert client.post("/v1/models/unload", json={"model": "org/served"}).status_code == 200
    assert asked == []


def test_a_model_that_does_not_exist_is_a_404_and_a_gated_one_a_403(hub: Hub, client: httpx.Client) -> None:
    hub.add("org/gated", WHOLE)
    hub.gated.add("org/gated")
    response = ask(client, "org/nothing")
    assert (response.status_code, error(response)["code"], error(response)["param"]) == (
        404,
        "model_not_found",
        "model",
    )
    assert "HF_TOKEN" in error(response)["message"]
    response = ask(client, "org/gated")
    assert (response.status_code, error(response)["param"]) == (403, "model")


def test_a_model_that_nothing_claims_is_not_downloaded(hub: Hub, client: httpx.Client) -> None:
    hub.add("org/strange", {"config.json": b'{"architectures": ["Strange"]}', "model.safetensors": WEIGHTS})
    assert ask(client, "org/strange").status_code == 501
    assert hub.count("model.safetensors") == 0


def test_a_model_that_is_on_the_hub_alone_can_be_described(hub: Hub, client: httpx.Client) -> None:
    hub.add("org/remote", WHOLE)
    row = client.get("/v1/models/org/remote").json()
    assert (row["state"], row["backend"], row["owned_by"]) == ("remote", "tiny", "org")
    assert row["size_bytes"] == sum(map(len, WHOLE.values()))
    assert hub.count("model.safetensors") == 0


def test_requests_that_come_together_ask_the_hub_once(hub: Hub, client: httpx.Client) -> None:
    hub.add("org/crowd", WHOLE)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: ask(client, "org/crowd").status_code, range(8)))
    assert answers == [200] * 8
    assert hub.count("GET /api/models/org/crowd") == 1
    assert hub.count("GET /org/crowd/resolve/") == len(NEEDED)
