"""What /v1/models tells of models on disk, and what DELETE /v1/models/{id} does to them."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from caching import cache_repository, repository_folder, set_used
from clients import outcome, using
from hub_server import running_hub
from installed import install, on_path
from universal_core.config import Config, ModelConfig, ModelsConfig

QUANTS = {"m-Q4_K_M.gguf": b"4" * 4000, "m-Q8_0.gguf": b"8" * 8000, "mmproj.gguf": b"p" * 10}
WEIGHTS = {"config.json": b'{"architectures": ["EchoModel"]}', "model.safetensors": b"w" * 5000}

# Runs what is in the cache or in models.dir as echo models; the files of one variant are those that end with its name.
PLUGIN = """
from universal_core import Backend, Claim, ModelNotFound, Variant, hookimpl
from universal_core.testing.echo import EchoOptions
API_VERSION = 1

@hookimpl
def register_backends():
    return [Backend(name="kept", model="universal_core.testing.echo:EchoModel", tasks=("chat",), options=EchoOptions)]

@hookimpl
def claim_model(info):
    ggufs = [file.name for file in info.matching("m-*.gguf")]
    if not ggufs and "EchoModel" not in info.architectures:
        return None
    variants = tuple(Variant(name[2:-5], (name,)) for name in ggufs)
    chosen = [variant for variant in variants if info.ref.variant in (None, variant.name)]
    if variants and not chosen:
        raise ModelNotFound(f"it has {', '.join(variant.name for variant in variants)}", param="model")
    files = (*chosen[0].files, "mmproj.gguf") if chosen else ("*",)
    return Claim(backend="kept", tasks=("chat",), reason="it is kept", rank=90, files=files, variants=variants)
"""


@pytest.fixture(scope="module", autouse=True)
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("kept")
    install(folder, "kept", PLUGIN)
    with on_path(folder):
        yield


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    return folder


async def rows_of(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in (await client.get("/v1/models")).json()["data"]}


def chat(model: str, text: str = "hi") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]}


async def refused(client: httpx.AsyncClient, name: str) -> tuple[tuple[int, str | None, str | None], str]:
    """Return how a deletion was refused, and in which words."""
    response = await client.delete(f"/v1/models/{name}")
    return outcome(response), response.json()["error"]["message"]


def test_what_is_cached_is_listed_with_what_it_takes(cache: Path) -> None:
    commit = cache_repository(cache, "org/quants", {**QUANTS, "copy/m.txt": QUANTS["m-Q8_0.gguf"]})
    cache_repository(cache, "org/half", {"config.json": b"{}"})
    set_used(cache, 1_700_000_000)

    async def use(client: httpx.AsyncClient) -> None:
        for _ in range(2):
            rows = await rows_of(client)
            row = rows["org/quants"]
            assert (row["state"], row["owned_by"], row["backend"]) == ("cached", "org", "kept")
            assert (row["size_bytes"], row["last_used"], row["revision"]) == (12010, 1_700_000_000, commit)
            assert (row["quantizations"], row["pinned"]) == (["Q4_K_M", "Q8_0"], False)
            assert rows["org/half"]["state"] == "incomplete"
            for name in ("org/quants", "org/half"):
                assert (await client.get(f"/v1/models/{name}")).json() == rows[name]
        assert str(cache) not in (await client.get("/v1/models")).text

    using(use)


def test_the_hub_is_not_asked_for_a_list(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    cache_repository(cache, "org/half", {"config.json": b"{}"})
    with running_hub() as hub:
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)

        async def use(client: httpx.AsyncClient) -> None:
            assert (await rows_of(client))["org/half"]["state"] == "incomplete"
            assert (await client.get("/v1/models/org/half")).json()["state"] == "incomplete"
            assert (await client.delete("/v1/models/org/none")).status_code == 404
            assert (await client.delete("/v1/models/org/half")).json()["deleted"]

        using(use)
        assert hub.requests == []


def test_a_use_by_this_server_is_noted_and_outlives_the_model(cache: Path) -> None:
    cache_repository(cache, "org/m", WEIGHTS)
    set_used(cache, 1_500_000_000)
    began = int(time.time())

    async def use(client: httpx.AsyncClient) -> None:
        assert (await client.post("/v1/chat/completions", json=chat("org/m"))).status_code == 200
        row = (await rows_of(client))["org/m"]
        assert (row["state"], row["quantizations"]) == ("ready", [])
        assert row["last_used"] >= began

    async def look(client: httpx.AsyncClient) -> None:
        row = (await rows_of(client))["org/m"]
        assert row["state"] == "cached"
        assert row["last_used"] >= began

    using(use)
    using(look)


def test_aliases_and_pins_show_what_they_stand_for(cache: Path) -> None:
    cache_repository(cache, "org/quants", QUANTS)

    async def use(client: httpx.AsyncClient) -> None:
        row = (await rows_of(client))["short"]
        assert (row["state"], row["pinned"], row["size_bytes"]) == ("configured", True, 12010)
        assert row["quantizations"] == ["Q4_K_M", "Q8_0"]

    using(use, Config(model={"short": ModelConfig(model="org/quants", pinned=True)}))


def test_a_repository_is_deleted_and_gone(cache: Path) -> None:
    cache_repository(cache, "org/m", WEIGHTS)

    async def use(client: httpx.AsyncClient) -> None:
        answer = (await client.delete("/v1/models/org/m")).json()
        assert answer == {"id": "org/m", "object": "model", "deleted": True, "freed_bytes": answer["freed_bytes"]}
        assert answer["freed_bytes"] >= 5032
        assert "org/m" not in await rows_of(client)
        assert outcome(await client.delete("/v1/models/org/m")) == (404, "model_not_found", "model")

    using(use)
    assert not repository_folder(cache, "org/m").exists()


def test_one_quantization_goes_and_the_rest_stays_until_the_last(cache: Path) -> None:
    cache_repository(cache, "org/quants", QUANTS)

    async def use(client: httpx.AsyncClient) -> None:
        answer = (await client.delete("/v1/models/org/quants:Q8_0")).json()
        assert (answer["id"], answer["freed_bytes"]) == ("org/quants:Q8_0", 8000)
        row = (await rows_of(client))["org/quants"]
        assert (row["quantizations"], row["size_bytes"]) == (["Q4_K_M"], 4010)
        (status, *_), words = await refused(client, "org/quants:Q8_0")
        assert status == 404
        assert "it has Q4_K_M" in words
        assert (await client.delete("/v1/models/org/quants:Q4_K_M")).json()["freed_bytes"] >= 4010
        assert "org/quants" not in await rows_of(client)

    using(use)
    assert not repository_folder(cache, "org/quants").exists()


def test_a_revision_is_deleted_by_its_name_and_the_last_quantization_takes_no_other_with_it(cache: Path) -> None:
    cache_repository(cache, "org/m", {"m-Q4_K_M.gguf": b"4" * 40})
    cache_repository(cache, "org/m", {"m-Q8_0.gguf": b"8" * 80}, "v1")

    async def use(client: httpx.AsyncClient) -> None:
        assert (await client.delete("/v1/models/org/m:Q4_K_M")).status_code == 200
        assert [name for name in await rows_of(client) if name.startswith("org/")] == ["org/m@v1"]
        assert (await client.delete("/v1/models/org/m@v1")).status_code == 200

    using(use)
    assert list(cache.glob("models--*")) == []


def test_a_variant_of_what_has_none_is_refused(cache: Path) -> None:
    cache_repository(cache, "org/m", WEIGHTS)

    async def use(client: httpx.AsyncClient) -> None:
        for name in ("org/m:Q4_K_M", "org/m:model"):
            assert (await refused(client, name))[0] == (400, "invalid_value", "model")
        assert (await refused(client, "org/none:Q4_K_M"))[0] == (404, "model_not_found", "model")

    using(use)
    assert repository_folder(cache, "org/m").exists()


def test_an_idle_model_is_unloaded_first_and_its_next_request_does_not_find_it(cache: Path) -> None:
    cache_repository(cache, "org/m", WEIGHTS)

    async def use(client: httpx.AsyncClient) -> None:
        assert (await client.post("/v1/models/load", json={"model": "org/m"})).status_code == 200
        assert (await client.delete("/v1/models/org/m")).status_code == 200
        assert (await client.get("/health")).json()["models"] == []
        response = await client.post("/v1/chat/completions", json=chat("org/m"))
        assert outcome(response) == (404, "model_not_found", "model")

    using(use)


def test_a_model_at_work_is_refused_and_stays(cache: Path) -> None:
    cache_repository(cache, "org/m", WEIGHTS)

    async def use(client: httpx.AsyncClient) -> None:
        working = asyncio.ensure_future(client.post("/v1/chat/completions", json=chat("org/m", "repeat 10000")))
        while not [model for model in (await client.get("/health")).json()["models"] if model["active"]]:
            await asyncio.wait({working}, timeout=0)
        how, words = await refused(client, "org/m")
        assert how == (409, "model_in_use", "model")
        assert "POST /v1/models/unload" in words
        await client.post("/v1/models/unload", json={"model": "org/m"})
        await working
        assert (await client.delete("/v1/models/org/m")).status_code == 200

    using(use, Config(model={"org/m": ModelConfig(options={"delay": 0.02})}))


def test_another_quantization_may_stay_in_memory(cache: Path) -> None:
    cache_repository(cache, "org/quants", QUANTS)

    async def use(client: httpx.AsyncClient) -> None:
        await client.post("/v1/models/load", json={"model": "org/quants:Q4_K_M"})
        assert (await client.delete("/v1/models/org/quants:Q8_0")).status_code == 200
        assert (await rows_of(client))["org/quants:Q4_K_M"]["state"] == "ready"
        assert (await client.delete("/v1/models/org/quants")).status_code == 200
        assert (await client.get("/health")).json()["models"] == []

    using(use)


def test_what_is_not_of_the_cache_is_refused_with_what_to_do(cache: Path, tmp_path: Path) -> None:
    cache_repository(cache, "org/m", WEIGHTS)
    mine = tmp_path / "models" / "mine"
    mine.mkdir(parents=True)
    (mine / "config.json").write_bytes(WEIGHTS["config.json"])
    here = tmp_path / "org" / "here"
    here.mkdir(parents=True)
    (here / "config.json").write_bytes(WEIGHTS["config.json"])
    adapters = {"adapters": {"sql": "sql.gguf"}}
    config = Config(
        models=ModelsConfig(dir=str(tmp_path / "models")),
        model={"short": ModelConfig(model="org/m"), "base": ModelConfig(model="org/m", options=adapters)},
    )

    async def use(client: httpx.AsyncClient) -> None:
        await client.post("/v1/models/load", json={"model": "mine"})
        for name, words in (
            ("short", "the configuration's name for org/m"),
            ("base:sql", "is an adapter"),
            ("mine", "is in the folder models.dir"),
            (str(mine), "is a path"),
            ("org/here", "is a path"),
            (str(here), "is a path"),
        ):
            how, found = await refused(client, name)
            assert (how, words in found) == ((403, "forbidden", "model"), True), (name, found)
        assert (await rows_of(client))["mine"]["state"] == "ready"

    using(use, config)
    assert mine.exists()
    assert here.exists()
    assert repository_folder(cache, "org/m").exists()


def test_a_model_that_is_only_configured_under_its_own_name_is_deleted(cache: Path) -> None:
    cache_repository(cache, "org/m", WEIGHTS)

    async def use(client: httpx.AsyncClient) -> None:
        assert (await client.delete("/v1/models/org/m")).status_code == 200
        assert (await rows_of(client))["org/m"]["state"] == "configured"

    using(use, Config(model={"org/m": ModelConfig(options={"slots": 2})}))


ESCAPES = (
    *("%2e%2e/secret", "..%2fsecret", "org%2f..%2f..%2fsecret", "org/m%2f..%2f..", "%2fnowhere", "%2e%2e", "~"),
    *("..%5csecret", "models--org--m", "org--m", "org/m@..%2f..%2fsecret", "org%2fm%00", "*", "org/*", "%20"),
)


def test_no_name_leads_out_of_the_cache(cache: Path, tmp_path: Path) -> None:
    cache_repository(cache, "org/m", WEIGHTS)
    secret = tmp_path / "secret" / "readme.txt"
    secret.parent.mkdir()
    secret.write_text("secret")

    async def use(client: httpx.AsyncClient) -> None:
        for name in ESCAPES:
            url = httpx.URL("http://test/v1/models/", raw_path=f"/v1/models/{name}".encode())
            assert outcome(await client.delete(url)) == (404, "model_not_found", "model"), name

    using(use)
    assert secret.exists()
    assert repository_folder(cache, "org/m").exists()


def test_an_unknown_model_is_told_with_near_matches(cache: Path) -> None:
    cache_repository(cache, "org/quants", QUANTS)

    async def use(client: httpx.AsyncClient) -> None:
        how, words = await refused(client, "org/quantz")
        assert how == (404, "model_not_found", "model")
        assert "on this machine are org/quants" in words

    using(use)


def test_slashes_may_be_encoded(cache: Path) -> None:
    cache_repository(cache, "org/m", WEIGHTS)

    async def use(client: httpx.AsyncClient) -> None:
        assert (await client.delete("/v1/models/org%2Fm")).json()["id"] == "org/m"

    using(use)
