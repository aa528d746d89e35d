"""The router: which model is meant, who runs it, and what is said where nobody does."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from installed import install, on_path
from universal_core import BadRequest, ChatRequest, Claim, ModelNotFound, ToolInvocation, UnsupportedField, catalogue
from universal_core.catalogue import KnownPlugin
from universal_core.config import Config, ModelConfig, ModelsConfig, WorkersConfig
from universal_core.errors import TaskNotSupported
from universal_core.messages import ChatMessage, ImagePart, ResponseFormat
from universal_core.router import Router, refuse_unsupported
from universal_core.runtime import Runtime
from universal_core.testing import chat_request

# Plugins "ant" and "bee" claim what a name says: "zoo/ant60,bee50" is claimed by ant with rank 60 and by bee with 50.
PLUGIN = """
import re
import msgspec
from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, hookimpl

API_VERSION = 1

class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    device: str = "auto"
    slots: int = 2

@hookimpl
def register_backends():
    return [Backend(name="{name}", model="no:Model", tasks={tasks}, options=Options, engine="{engine}")]

@hookimpl
def find_model(ref):
    if ref.name.startswith("zoo/"):
        return ModelInfo(id=ref.text, ref=ref, source="zoo", path="")

@hookimpl
def list_models():
    return [find_model(__import__("universal_core").ModelRef.parse("zoo/known-one"))]

@hookimpl
def claim_model(info):
    found = re.search(r"{name}(\\d+)", info.id)
    if found and info.source == "zoo":
        rank = int(found[1])
        return Claim(backend="{backend}", tasks={tasks}, reason="its name", rank=rank, slots=2, fields=("seed",))
"""


@pytest.fixture(autouse=True)
def zoo(tmp_path: Path) -> Iterator[Callable[[str, str], None]]:
    """Install ant and bee; return a function that installs more."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    kinds = {
        "ant": {"tasks": ("chat", "complete"), "engine": "pytorch", "backend": "ant"},
        "bee": {"tasks": ("chat", "embed"), "engine": "llama.cpp", "backend": "bee"},
        "cat": {"tasks": ("chat",), "engine": "", "backend": "kat"},
    }
    for name, kind in kinds.items():
        install(folder, name, PLUGIN.format(name=name, **kind))
    with on_path(folder):
        yield lambda name, source: install(folder, name, source)


def router(**sections: Any) -> Router:
    return Runtime(Config(**sections)).router


def chosen(name: str, task: str | None = "chat", **sections: Any) -> str:
    found = router(**sections)
    return found.choose(found.find(name), task).claim.backend


def plan(name: str | None, task: str | None = None, **sections: Any) -> Any:
    return asyncio.run(router(**sections).plan(name, task))


@pytest.mark.parametrize(
    ("name", "task", "backend"),
    [
        ("zoo/ant60,bee50", "chat", "ant"),
        ("zoo/ant50,bee60", "chat", "bee"),
        ("zoo/ant60,bee50", "embed", "bee"),
        ("zoo/ant50,bee60", "complete", "ant"),
        ("zoo/ant50,bee60", None, "bee"),
    ],
)
def test_the_highest_claim_that_offers_the_task_wins(name: str, task: str | None, backend: str) -> None:
    assert chosen(name, task) == backend


def test_of_equal_claims_the_preferred_engine_wins() -> None:
    assert chosen("zoo/ant50,bee50") == "ant"
    assert chosen("zoo/ant50,bee50", models=ModelsConfig(runtime_backend="llama.cpp")) == "bee"
    assert chosen("zoo/ant60,bee50", models=ModelsConfig(runtime_backend="llama.cpp")) == "ant"


def test_a_configured_backend_wins_whatever_the_ranks() -> None:
    assert chosen("zoo/ant60,bee50", model={"zoo/ant60,bee50": ModelConfig(backend="bee")}) == "bee"


def test_a_configured_backend_that_does_not_claim_the_model_is_told() -> None:
    with pytest.raises(TaskNotSupported, match="is configured for backend bee, which does not claim it"):
        chosen("zoo/ant60", model={"zoo/ant60": ModelConfig(backend="bee")})


def test_a_claim_for_a_backend_that_nobody_registered_is_passed_over() -> None:
    assert chosen("zoo/cat90,ant50") == "ant"


def test_a_source_that_fails_is_passed_over(zoo: Callable[[str, str], None], caplog: pytest.LogCaptureFixture) -> None:
    source = "from universal_core import hookimpl\nAPI_VERSION = 1\n"
    zoo("aaa", source + "@hookimpl\ndef find_model(ref): raise ConnectionError('my registry is down')")
    assert chosen("zoo/ant50") == "ant"
    assert "my registry is down" in caplog.text


def test_a_source_may_end_the_search_with_an_explanation(zoo: Callable[[str, str], None]) -> None:
    source = "from universal_core import ModelNotFound, hookimpl\nAPI_VERSION = 1\n"
    zoo("aaa", source + "@hookimpl\ndef find_model(ref): raise ModelNotFound('it was withdrawn')")
    with pytest.raises(ModelNotFound, match="it was withdrawn"):
        chosen("zoo/ant50")


def test_a_request_that_names_no_model_gets_the_default_one() -> None:
    assert plan(None, models=ModelsConfig(default="zoo/ant50")).name == "zoo/ant50"
    assert plan("", models=ModelsConfig(default="zoo/ant50")).name == "zoo/ant50"


def test_without_a_default_a_model_must_be_named() -> None:
    with pytest.raises(BadRequest, match="name a model") as raised:
        plan(None)
    assert raised.value.param == "model"


def test_an_alias_stands_for_its_model_and_keeps_its_name_and_options() -> None:
    entry = ModelConfig(model="zoo/ant50:q4", options={"slots": 7}, pinned=True)
    found = plan("short", model={"short": entry})
    assert (found.name, found.info.id, found.info.ref.variant) == ("short", "zoo/ant50:q4", "q4")
    assert (found.options, found.pinned) == ({"slots": 7}, True)


def test_the_slots_are_the_configured_ones_or_else_the_claims() -> None:
    assert plan("zoo/ant50").claim.slots == 2
    assert plan("zoo/ant50", model={"zoo/ant50": ModelConfig(options={"slots": 7})}).claim.slots == 7


def test_a_wrong_option_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(BadRequest, match="options of backend ant"):
        plan("zoo/ant50", model={"zoo/ant50": ModelConfig(options={"slot": 7})})


def test_models_are_on_the_processor_where_there_is_nothing_else_or_it_is_asked_for() -> None:
    assert plan("zoo/ant50", workers=WorkersConfig(device="cpu")).devices == ("cpu",)
    assert plan("zoo/ant50", model={"zoo/ant50": ModelConfig(options={"device": "cpu"})}).devices == ("cpu",)


def test_a_model_that_is_not_found_is_told_with_near_matches_and_what_private_ones_need() -> None:
    with pytest.raises(ModelNotFound) as raised:
        router(model={"zoological": ModelConfig()}).find("zoo-known-onne")
    for part in ("'zoo-known-onne' was not found", "zoo/known-one"):
        assert part in raised.value.message
    assert raised.value.param == "model"


def test_a_model_that_is_like_nothing_here_is_told_where_to_look() -> None:
    with pytest.raises(ModelNotFound, match="GET /v1/models lists what is here"):
        router().find("qqqqqqqqqqqqqqqq")


def local(folder: Path, config: dict[str, Any] | None = None, **files: bytes) -> str:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config or {}))
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)
    return str(folder)


@pytest.fixture
def nose(monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the project have one more plugin, which is not installed; give the line that installs it."""
    plugin = KnownPlugin("nose", ("smell",), files=("nose.json",), architectures=("ForSmelling",))
    monkeypatch.setattr(catalogue, "KNOWN_PLUGINS", (plugin, *catalogue.KNOWN_PLUGINS))
    return 'pip install "universal-core[nose]"'


@pytest.mark.parametrize(
    ("config", "files"), [({}, {"nose__json": b"{}"}), ({"architectures": ["DogForSmelling"]}, {})]
)
def test_a_model_that_nothing_claims_is_told_with_the_plugin_to_install(
    tmp_path: Path, nose: str, config: dict[str, Any], files: dict[str, bytes]
) -> None:
    name = local(tmp_path / "m", config, **files)
    with pytest.raises(TaskNotSupported) as raised:
        chosen(name)
    assert nose in raised.value.message


@pytest.mark.usefixtures("nose")
def test_a_plugin_that_is_installed_is_not_recommended(tmp_path: Path) -> None:
    install(tmp_path / "plugin", "nose", "API_VERSION = 1")
    with on_path(tmp_path / "plugin"), pytest.raises(TaskNotSupported) as raised:
        chosen(local(tmp_path / "m", {}, nose__json=b"{}"))
    assert "universal-nose is installed, but does not run models of this kind" in raised.value.message
    assert raised.value.message.endswith(" without weights in safetensors")


def test_a_plugin_without_its_libraries_is_told_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ears = KnownPlugin("ears", ("hear",), architectures=("Ears",), optional=("hear",))
    monkeypatch.setattr(catalogue, "KNOWN_PLUGINS", (ears,))
    install(tmp_path / "plugin", "ears", "API_VERSION = 1")
    command = 'pip install "universal-core[ears]"'
    with on_path(tmp_path / "plugin"):
        with pytest.raises(TaskNotSupported) as raised:
            chosen(local(tmp_path / "m", {"architectures": ["Ears"]}))
        assert f"universal-ears is installed without the libraries for hear: `{command}`" in raised.value.message
        with pytest.raises(TaskNotSupported) as raised:
            chosen("zoo/ant50", "hear")
        assert command in raised.value.message


@pytest.mark.usefixtures("nose")
def test_a_quarantined_plugin_is_told_of_where_it_would_have_helped(tmp_path: Path) -> None:
    install(tmp_path / "plugin", "nose", "raise ImportError('no compiler')")
    with on_path(tmp_path / "plugin"), pytest.raises(TaskNotSupported) as raised:
        chosen(local(tmp_path / "m", {}, nose__json=b"{}"))
    assert "universal-nose is installed but quarantined" in raised.value.message


def test_a_model_of_no_known_kind_is_told_without_advice(tmp_path: Path) -> None:
    with pytest.raises(TaskNotSupported) as raised:
        chosen(local(tmp_path / "m", {"architectures": ["Strange"]}))
    assert "pip install" not in raised.value.message


def test_a_task_that_a_model_is_not_for_is_told_with_what_it_is_for_and_what_runs_such_models(nose: str) -> None:
    with pytest.raises(TaskNotSupported) as raised:
        chosen("zoo/ant50", "smell")
    assert "zoo/ant50 cannot be used for smell: ant runs it for chat, complete" in raised.value.message
    assert nose in raised.value.message
    assert raised.value.param == "model"


@pytest.mark.usefixtures("nose")
def test_a_task_whose_plugin_is_installed_asks_for_another_model(tmp_path: Path) -> None:
    install(tmp_path / "plugin", "nose", "API_VERSION = 1")
    with on_path(tmp_path / "plugin"), pytest.raises(TaskNotSupported) as raised:
        chosen("zoo/ant50", "smell")
    assert raised.value.message.endswith("; name a model that is made for smell")


CLAIM = Claim(backend="ant", tasks=("chat",), reason="test", fields=("seed", "temperature"))


def request(**fields: Any) -> ChatRequest:
    return msgspec.structs.replace(chat_request("hello", 8), **fields)


def test_basic_fields_and_those_of_the_claim_pass() -> None:
    refuse_unsupported(request(seed=1, temperature=0.5, max_tokens=3), CLAIM)


@pytest.mark.parametrize(
    ("fields", "param", "what"),
    [
        ({"top_p": 0.5}, "top_p", "it"),
        ({"n": 2}, "n", "it"),
        ({"stop": ("x",)}, "stop", "it"),
        ({"logprobs": 0}, "logprobs", "it"),
        ({"response_format": ResponseFormat(type="json_object")}, "response_format", "it"),
        (
            {"response_format": ResponseFormat(type="regex", param="guided_regex", text="x")},
            "guided_regex",
            "response_format",
        ),
        (
            {"messages": (ChatMessage(role="user", content=(ImagePart(data=b"x"),)),)},
            "messages[0].content[0].image_url",
            "images",
        ),
        (
            {
                "messages": (
                    ChatMessage(role="assistant", tool_calls=(ToolInvocation(id="1", name="f", arguments=""),)),
                )
            },
            "messages[0].tool_calls",
            "tools",
        ),
        ({"messages": (ChatMessage(role="tool", tool_call_id="1"),)}, "messages[0].role", "tools"),
    ],
)
def test_what_would_change_the_answer_and_is_not_honoured_is_refused_by_name(
    fields: dict[str, Any], param: str, what: str
) -> None:
    with pytest.raises(UnsupportedField, match=f"backend ant does not support {what} for this model") as raised:
        refuse_unsupported(request(**fields), CLAIM)
    assert raised.value.param == param
    assert "it supports seed, temperature" in raised.value.message


def test_a_plan_is_kept_for_the_next_request() -> None:
    async def main() -> None:
        found = router()
        first = await found.plan("zoo/ant50", "chat")
        assert await found.plan("zoo/ant50", "chat") is first
        assert (await found.plan("zoo/bee50", "chat")).claim.backend == "bee"

    asyncio.run(main())
