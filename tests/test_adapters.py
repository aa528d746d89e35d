"""Adapters by name: which model is meant, who answers, and what is said about a name that is none of them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from installed import install, on_path
from universal_core import (
    BadRequest,
    CompletionRequest,
    DetokenizeRequest,
    EmbedRequest,
    ModelNotFound,
    TokenizeRequest,
    UnsupportedField,
)
from universal_core.adapters import with_adapter
from universal_core.app import create_app
from universal_core.config import Config, ModelConfig, PluginsConfig
from universal_core.entry import Plan
from universal_core.errors import TaskNotSupported
from universal_core.explain import explain, lines
from universal_core.router import Router, refuse_unsupported
from universal_core.runtime import Runtime
from universal_core.testing import chat_request

# "zoo/…" is a model with weights in safetensors, "gguf/…" one in GGUF files that knows the quantization Q8_0.
PLUGIN = """
import msgspec
from universal_core import AdaptersOption, Backend, Claim, ModelFile, ModelInfo, ModelNotFound, hookimpl

API_VERSION = 1

class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    adapters: AdaptersOption = None
    slots: int = 2

class Plain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    slots: int = 1

@hookimpl
def register_backends():
    return [
        Backend(name="writer", model="no:Model", tasks=("chat", "complete", "tokenize"), options=Options),
        Backend(name="plain", model="no:Model", tasks=("embed",), options=Plain),
    ]

@hookimpl
def find_model(ref):
    kind = ref.name.partition("/")[0]
    if kind in ("zoo", "gguf"):
        file = ModelFile("model.safetensors" if kind == "zoo" else "model.gguf", 7)
        return ModelInfo(id=ref.text, ref=ref, source="zoo", path="", files=(file,))

@hookimpl
def claim_model(info):
    if info.source != "zoo":
        return None
    if info.ref.name.startswith("gguf/") and info.ref.variant not in (None, "Q8_0"):
        raise ModelNotFound(f"{info.ref.name} has no {info.ref.variant}; it has Q8_0")
    if info.ref.name == "zoo/plain":
        return Claim(backend="plain", tasks=("embed",), reason="its name")
    return Claim(backend="writer", tasks=("chat", "complete", "tokenize"), reason="its name", fields=("adapter",))
"""

ADAPTERS = {"sql": "some/folder", "poems": {"path": "org/poems", "scale": 0.5}}
BASE = ModelConfig(options={"adapters": ADAPTERS, "slots": 5})


@pytest.fixture(autouse=True)
def zoo(tmp_path: Path) -> Iterator[None]:
    folder = tmp_path / "plugins"
    folder.mkdir()
    install(folder, "zoo", PLUGIN)
    with on_path(folder):
        yield


def router(**model: ModelConfig) -> Router:
    # The plugin for GGUF files is installed where its own tests run, and has a word to say about such models.
    others = PluginsConfig(block=("gguf",))
    return Runtime(Config(plugins=others, model={"zoo/base": BASE, "gguf/base": BASE, **model})).router


def plan(name: str, task: str | None = "chat", **model: ModelConfig) -> Plan:
    return asyncio.run(router(**model).plan(name, task))


def test_an_adapter_is_run_by_the_model_that_it_stands_over() -> None:
    base, found = plan("zoo/base"), plan("zoo/base:sql")
    assert (found.name, found.adapter, found.key) == ("zoo/base:sql", "sql", base.key)
    assert found.loaded == base
    assert (base.adapter, base.loaded, base.options["slots"]) == (None, base, 5)


def test_an_alias_of_an_adapter_and_one_of_its_model_mean_the_same_process() -> None:
    base = ModelConfig(model="zoo/other", options={"adapters": {"sql": "x"}})
    aliases = {"my-sql": ModelConfig(model="short:sql"), "short": base}
    found = plan("my-sql", **aliases)
    assert (found.name, found.adapter, found.key) == ("my-sql", "sql", ("short", "writer"))
    assert plan("short:sql", **aliases).key == plan("short", **aliases).key == found.key


def test_a_quantization_and_an_adapter_stand_side_by_side() -> None:
    quantized = {"gguf/base:Q8_0": BASE}
    assert plan("gguf/base:Q8_0", **quantized).adapter is None
    assert plan("gguf/base:Q8_0:sql", **quantized).loaded.name == "gguf/base:Q8_0"
    assert plan("gguf/base:sql", **quantized).loaded.name == "gguf/base"


@pytest.mark.parametrize("name", ["zoo/base:prose", "gguf/base:prose", "zoo/base:sql:prose"])
def test_a_name_that_is_no_adapter_is_told_with_those_there_are(name: str) -> None:
    known = {"zoo/base:sql": BASE}
    with pytest.raises(ModelNotFound, match=r"the adapters of \S+ are sql, poems") as raised:
        plan(name, **known)
    assert raised.value.param == "model"


def test_of_a_gguf_model_the_quantizations_are_told_too() -> None:
    with pytest.raises(ModelNotFound, match="it has Q8_0; the adapters of gguf/base are sql, poems"):
        plan("gguf/base:prose")


def test_of_a_model_without_adapters_only_its_files_have_variants() -> None:
    with pytest.raises(
        ModelNotFound, match=r"zoo/lonely has no file with sql in its name, and .* no adapters"
    ) as raised:
        plan("zoo/lonely:sql")
    assert raised.value.param == "model"
    assert plan("zoo/lonely:Safetensors").name == "zoo/lonely:Safetensors"


def test_a_pin_on_an_adapter_pins_its_model() -> None:
    assert not plan("zoo/base").pinned
    pinned = {"my-sql": ModelConfig(model="zoo/base:sql", pinned=True)}
    assert plan("zoo/base", **pinned).pinned
    assert plan("zoo/base:poems", **pinned).loaded.pinned


@pytest.mark.parametrize("settings", [{"options": {"slots": 3}}, {"backend": "writer"}, {"tasks": ("chat",)}])
def test_an_alias_of_an_adapter_cannot_have_settings_of_its_own(settings: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match=r'my-sql is the adapter sql of zoo/base.*below \[model."zoo/base"\]'):
        plan("my-sql", **{"my-sql": ModelConfig(model="zoo/base:sql", **settings)})


@pytest.mark.parametrize(
    "adapters",
    [{"not a name": "x"}, {"": "x"}, {"a/b": "x"}, {"sql": ""}, {"sql": {"scale": 1.0}}, {"sql": 3}, ["sql"]],
)
def test_what_is_no_table_of_adapters_is_refused(adapters: Any) -> None:
    with pytest.raises(BadRequest, match="options of backend writer"):
        plan("zoo/new", **{"zoo/new": ModelConfig(options={"adapters": adapters})})


def test_a_backend_without_adapters_says_which_options_it_has() -> None:
    with pytest.raises(BadRequest, match=r"unknown field adapters.*slots"):
        plan("zoo/plain:sql", None, **{"zoo/plain": ModelConfig(options={"adapters": {"sql": "x"}})})


def test_an_adapter_is_for_the_tasks_of_its_model_that_write() -> None:
    with pytest.raises(TaskNotSupported, match="zoo/base:sql cannot be used for embed"):
        plan("zoo/base:sql", "embed")
    with pytest.raises(UnsupportedField, match="zoo/base:sql is an adapter") as raised:
        with_adapter(EmbedRequest(input=("a",)), "sql", "zoo/base:sql")
    assert raised.value.param == "model"


def test_a_request_says_which_adapter_writes_and_tokens_are_the_same_for_all() -> None:
    chat, complete = chat_request("hello", 3), CompletionRequest(prompt="hello")
    for request in (chat, complete):
        assert with_adapter(request, "sql", "m").adapter == "sql"  # type: ignore[attr-defined]
    for same in (TokenizeRequest(text="hello"), DetokenizeRequest(tokens=(1,))):
        assert with_adapter(same, "sql", "m") is same


def test_a_claim_that_honours_no_adapters_refuses_them_by_the_name_of_the_model() -> None:
    found = plan("zoo/base:sql")
    request = with_adapter(chat_request("hello", 3), "sql", found.name)
    refuse_unsupported(request, found.claim)
    with pytest.raises(UnsupportedField, match=r"^model: backend writer") as raised:
        refuse_unsupported(request, plan("zoo/base").claim.__class__(backend="writer", tasks=("chat",), reason=""))
    assert raised.value.param == "model"


def test_explain_says_whose_adapter_it_is() -> None:
    found = explain(router(), "zoo/base:sql")
    assert (found.name, found.adapter, found.base) == ("zoo/base:sql", "sql", "zoo/base")
    text = "\n".join(lines(found))
    assert "sql of zoo/base, whose weights and process it shares" in text
    assert "winner     writer" in text


def test_adapters_are_listed_beside_their_model_and_found_by_name() -> None:
    config = Config(model={"zoo/base": BASE, "my-sql": ModelConfig(model="zoo/base:sql")})
    app = create_app(Runtime(config))

    async def main() -> tuple[dict[str, Any], dict[str, Any]]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            listed = (await client.get("/v1/models")).json()["data"]
            one = (await client.get("/v1/models/zoo/base:sql")).json()
            return {row["id"]: row for row in listed}, one

    rows, one = asyncio.run(main())
    assert {name: row.get("parent") for name, row in rows.items() if "/starter" not in name} == {
        "my-sql": "zoo/base",
        "zoo/base": None,
        "zoo/base:poems": "zoo/base",
        "zoo/base:sql": "zoo/base",
    }
    assert (one["id"], one["parent"], one["backend"]) == ("zoo/base:sql", "zoo/base", "writer")
