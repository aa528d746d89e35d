"""Plugins: found by their entry points, asked in order, and kept from doing harm."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from clients import outcome, using
from installed import install, on_path
from universal_core import Claim, ModelInfo, ModelNotFound, ModelRef
from universal_core.config import Config
from universal_core.plugins import SERVER, SOURCES, Plugin, Plugins
from universal_core.runtime import Runtime

Install = Callable[..., None]
GOOD = """
from universal_core import Backend, Claim, ModelInfo, hookimpl
API_VERSION = 1
"""
INFO = ModelInfo(id="org/m", ref=ModelRef.parse("org/m"), source="test", path="/m")


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Install]:
    """Return a function that installs a plugin for the length of a test."""
    folder = tmp_path / "plugins"
    folder.mkdir()

    def add(name: str, source: str) -> None:
        install(folder, name, source)

    with on_path(folder):
        yield add


def state(plugins: Plugins, name: str) -> Plugin:
    return next(found for found in plugins.installed if found.name == name)


BACKEND = """
@hookimpl
def register_backends():
    return [Backend(name="{name}", model="universal_{name}:Model", tasks=("sing", "chat"))]
"""
CLAIM = """
@hookimpl
def claim_model(info):
    return Claim(backend="{name}", tasks=("chat",), reason="for the test", rank={rank})
"""


def singer(name: str, rank: int = 50) -> str:
    return GOOD + BACKEND.format(name=name) + CLAIM.format(name=name, rank=rank)


def test_a_plugin_is_known_with_its_version_origin_hooks_and_tasks(plugin: Install) -> None:
    plugin("singer", singer("singer"))
    assert state(Plugins(), "singer") == Plugin(
        name="singer",
        version="1.0",
        origin="universal-singer",
        state="active",
        hooks=("claim_model", "register_backends"),
        tasks=("chat", "sing"),
    )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('no driver')", "RuntimeError: no driver"),
        ("import a_library_that_is_not_here", "ModuleNotFoundError: No module named 'a_library_that_is_not_here'"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "API_VERSION = None, this core accepts 1"),
        ("API_VERSION = 99", "API_VERSION = 99, this core accepts 1"),
        (GOOD + "@hookimpl\ndef no_such_hook(info): return None", "unknown hook 'no_such_hook'"),
        (GOOD + "@hookimpl\ndef claim_model(inof): return None", "inof"),
        (GOOD + "@hookimpl\ndef register_backends(): raise OSError('no backends')", "OSError: no backends"),
        (GOOD + "@hookimpl\ndef register_backends(): return [None]", "AttributeError"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_quarantined_with_the_reason(
    plugin: Install, caplog: pytest.LogCaptureFixture, source: str, reason: str
) -> None:
    plugin("broken", source)
    plugin("fine", singer("fine"))
    plugins = Plugins()
    found = state(plugins, "broken")
    assert found.state == "quarantined"
    assert reason in (found.error or "")
    assert "broken" in caplog.text
    assert state(plugins, "fine").state == "active"
    assert [claim.backend for claim in plugins.claims(INFO)] == ["fine"]


def test_what_a_quarantined_plugin_would_have_answered_is_never_asked(plugin: Install) -> None:
    plugin("broken", singer("broken") + "\n@hookimpl\ndef no_such_hook(): return None")
    plugins = Plugins()
    assert state(plugins, "broken").state == "quarantined"
    assert plugins.claims(INFO) == []
    assert "broken" not in plugins.backends


def test_a_blocked_plugin_is_not_even_imported(plugin: Install) -> None:
    plugin("unwanted", "raise RuntimeError('imported')")
    assert state(Plugins(block=("unwanted",)), "unwanted") == Plugin(
        name="unwanted", version="1.0", origin="universal-unwanted", state="blocked"
    )


def test_third_parties_are_asked_before_the_core_and_by_name(plugin: Install) -> None:
    for name in ("zebra", "ant"):
        plugin(name, GOOD + f"@hookimpl\ndef list_models(): return ['{name}']")
    names = [name for name, _ in Plugins().ask_each("list_models")]
    assert names.index("ant") < names.index("zebra") < names.index("universal_core.sources.cache")
    assert Plugins().installed[0].name == "ant"


def test_the_first_answer_to_find_model_counts(plugin: Install, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "config.json").write_text("{}")
    ref = ModelRef.parse(str(tmp_path / "here"))
    assert Plugins().hook.find_model(ref=ref).source == "local folder"
    plugin(
        "source",
        GOOD + "@hookimpl\ndef find_model(ref): return ModelInfo(id=ref.text, ref=ref, source='mine', path='/x')",
    )
    assert Plugins().hook.find_model(ref=ref).source == "mine"


def test_claims_are_ordered_by_rank_and_then_by_the_backends_name(plugin: Install) -> None:
    for name, rank in (("low", 10), ("beta", 50), ("alpha", 50), ("high", 90)):
        plugin(name, singer(name, rank))
    assert [claim.backend for claim in Runtime(Config()).router.claims(INFO)] == ["high", "alpha", "beta", "low"]


def test_a_plugin_that_raises_when_asked_is_logged_and_passed_over(
    plugin: Install, caplog: pytest.LogCaptureFixture
) -> None:
    plugin("fine", singer("fine"))
    plugin("moody", GOOD + "@hookimpl\ndef claim_model(info): raise KeyError('architectures')")
    assert [claim.backend for claim in Plugins().claims(INFO)] == ["fine"]
    assert "plugin moody failed in claim_model" in caplog.text


PICKY = """
from universal_core import ModelNotFound, ModelRef
@hookimpl
def list_models():
    return [ModelInfo(id="org/picky", ref=ModelRef.parse("org/picky"), source="test", path="/m")]
@hookimpl
def find_model(ref):
    return list_models()[0] if ref.name == "org/picky" else None
@hookimpl
def claim_model(info):
    if info.id == "org/picky":
        raise ModelNotFound("org/picky has no Q9; it has Q4_K_M and Q8_0", param="model")
"""


def test_a_claim_that_is_refused_with_an_explanation_ends_the_search(plugin: Install) -> None:
    plugin("picky", GOOD + PICKY)
    plugin("willing", singer("willing"))
    found = ModelInfo(id="org/picky", ref=ModelRef.parse("org/picky"), source="test", path="/m")
    with pytest.raises(ModelNotFound, match="it has Q4_K_M and Q8_0"):
        Plugins().claims(found)
    assert [claim.backend for claim in Plugins().claims(INFO)] == ["willing"]


def test_a_claim_that_is_refused_is_an_answer_to_those_who_ask_and_listed_to_all_others(plugin: Install) -> None:
    plugin("picky", GOOD + PICKY)

    async def use(client: httpx.AsyncClient) -> None:
        listed = await client.get("/v1/models")
        assert [row["tasks"] for row in listed.json()["data"] if row["id"] == "org/picky"] == [[]]
        body = {"model": "org/picky", "messages": [{"role": "user", "content": "hi"}]}
        for refused in (await client.post("/v1/chat/completions", json=body), await client.get("/v1/models/org/picky")):
            assert outcome(refused) == (404, "model_not_found", "model")
            assert "it has Q4_K_M and Q8_0" in refused.text

    using(use)


def test_a_generator_that_raises_half_way_is_passed_over(plugin: Install, caplog: pytest.LogCaptureFixture) -> None:
    plugin("moody", GOOD + "@hookimpl\ndef list_models():\n    yield 1\n    raise KeyError('half way')")
    with caplog.at_level(logging.ERROR):
        assert "moody" not in [name for name, _ in Plugins().ask_each("list_models")]
    assert "plugin moody failed in list_models" in caplog.text


def test_one_who_raises_on_hearing_news_keeps_it_from_nobody(plugin: Install, caplog: pytest.LogCaptureFixture) -> None:
    for name, word in (("a", "raise RuntimeError('deaf')"), ("z", "heard.append(seconds)")):
        plugin(name, GOOD + f"heard = []\n@hookimpl\ndef model_loaded(info, claim, seconds): {word}")
    plugins = Plugins()
    claim = Claim(backend="b", tasks=("chat",), reason="test")
    plugins.tell("model_loaded", info=INFO, claim=claim, seconds=1.5)
    assert plugins.manager.get_plugin("z").heard == [1.5]
    assert "plugin a failed in model_loaded" in caplog.text


def test_an_error_of_ours_raised_on_hearing_news_harms_nobody_either(plugin: Install) -> None:
    raises = (
        "from universal_core import BadRequest\n"
        "@hookimpl\ndef model_loaded(info, claim, seconds): raise BadRequest('x')"
    )
    plugin("a", GOOD + raises)
    claim = Claim(backend="b", tasks=("chat",), reason="test")
    Plugins().tell("model_loaded", info=INFO, claim=claim, seconds=1.5)


def test_of_two_backends_with_one_name_the_first_plugins_counts(
    plugin: Install, caplog: pytest.LogCaptureFixture
) -> None:
    plugin("ant", GOOD + BACKEND.format(name="same").replace("universal_same", "universal_ant"))
    plugin("zebra", GOOD + BACKEND.format(name="same").replace("universal_same", "universal_zebra"))
    assert Plugins().backends["same"].model == "universal_ant:Model"
    assert "plugin zebra: a backend named same exists already" in caplog.text


def test_a_worker_does_without_what_only_the_http_process_needs() -> None:
    names = [name for name, _ in Plugins().manager.list_name_plugin()]
    assert set(names) & set(SERVER) == set(SOURCES)
