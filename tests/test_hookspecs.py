"""Every hook is asked by the core, and can be answered by a plugin that somebody else has written."""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

import universal_core.hookspecs
from installed import install, on_path
from runtimes import ask, running
from scraping import Scrape, scrape
from universal_core.app import create_app
from universal_core.cli.main import universal
from universal_core.config import Config, ModelConfig
from universal_core.errors import UniversalError
from universal_core.runtime import Runtime

Install = Callable[[str], None]
TOP = """
from universal_core import *
from universal_core import hookimpl
API_VERSION = 1
"""
# A source and a backend: "mine/NAME" says "I am NAME".
MINE = (
    TOP
    + """
class Model:
    def __init__(self, info, options):
        self.text = f"I am {info.id}"

    def chat(self, request):
        yield self.text

@hookimpl
def register_backends():
    return [Backend(name="mine", model="universal_mine:Model", tasks=("chat",))]

@hookimpl
def find_model(ref):
    if ref.name.startswith("mine/"):
        return ModelInfo(id=ref.text, ref=ref, source="mine", path="")

@hookimpl
def claim_model(info):
    if info.source == "mine":
        return Claim(backend="mine", tasks=("chat",), reason="it is mine")
"""
)


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Install]:
    """Return a function that installs the plugin ``mine`` for the length of a test."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    with on_path(folder):
        yield lambda source: install(folder, "mine", source)


def chat(model: str, text: str = "hello there") -> str:
    async def main() -> str:
        async with running() as runtime:
            return await ask(runtime, model, text)

    return asyncio.run(main())


def test_a_plugin_finds_claims_and_runs_models_of_its_own(mine: Install) -> None:
    """register_backends, find_model, claim_model, and the core's own load_model and run_task."""
    mine(MINE)
    assert chat("mine/first") == "I am mine/first"


def test_fetch_model_is_answered_by_the_source_that_found_the_model(mine: Install) -> None:
    mine(
        MINE.replace('path=""', "path=None")
        + """
import msgspec

@hookimpl
def fetch_model(info, claim, report):
    if info.source == "mine":
        report(Progress("carrying", 0.25))
        report(Progress("carrying", 0.75))
        return msgspec.structs.replace(info, id="fetched", path="/tmp")
"""
    )

    async def main() -> tuple[str, list[str]]:
        async with running() as runtime:
            seen: list[str] = []

            plan = await runtime.router.plan("mine/far")
            entry = await runtime.pool.load(plan, lambda entry: watch(entry, seen))
            assert entry.info.path == "/tmp"
            return await ask(runtime, "mine/far"), seen

    text, seen = asyncio.run(main())
    assert text == "I am fetched"
    assert [stage for stage in seen if stage.startswith("carrying")] == ["carrying 25%", "carrying 75%"]


def watch(entry: Any, seen: list[str]) -> None:
    """Keep every progress that an entry is given."""

    class Watched(type(entry)):  # type: ignore[misc]
        def __setattr__(self, name: str, value: object) -> None:
            if name == "progress":
                seen.append(str(value))
            super().__setattr__(name, value)

    entry.__class__ = Watched


def test_estimate_memory_is_asked_with_the_options_that_are_configured(mine: Install) -> None:
    mine(
        MINE.replace('tasks=("chat",))]', 'tasks=("chat",), options=Sizes)]').replace(
            "class Model:", "import msgspec\n\nclass Sizes(msgspec.Struct):\n    size: int = 7\n\nclass Model:"
        )
        + """
@hookimpl
def estimate_memory(info, claim, options, device):
    if claim.backend == "mine":
        return MemoryEstimate(weights=options.size, host=1)
"""
    )

    async def main() -> tuple[int, int]:
        async with running(Config(model={"mine/sized": ModelConfig(options={"size": 70})})) as runtime:
            plans = [await runtime.router.plan(name) for name in ("mine/usual", "mine/sized")]
            return plans[0].claim.memory.total, plans[1].claim.memory.total

    assert asyncio.run(main()) == (8, 71)


def test_load_model_and_run_task_are_answered_by_a_plugin_before_the_core(mine: Install) -> None:
    mine(
        MINE.replace("universal_mine:Model", "no.such.module:Model")
        + """
@hookimpl
def load_model(info, claim, options):
    if claim.backend == "mine":
        return {"said": f"made by hand for {info.id}"}

@hookimpl
def run_task(model, task, request):
    if isinstance(model, dict):
        return [model["said"], f" to {task}"]
"""
    )
    assert chat("mine/x") == "made by hand for mine/x to chat"


def test_a_wrapper_around_run_task_sees_every_request_in_the_worker(mine: Install) -> None:
    mine(
        TOP
        + """
import os

async def loudly(events):
    async for event in events:
        yield Text(text=event.text.upper()) if isinstance(event, Text) else event

@hookimpl(wrapper=True)
def run_task(model, task, request):
    answer = yield
    return loudly(answer) if task == "chat" else answer
"""
    )
    assert chat("echo/wrapped", "hello there") == "HELLO THERE"


def test_a_wrapper_around_run_task_can_refuse(mine: Install) -> None:
    mine(
        TOP
        + """
@hookimpl(wrapper=True)
def run_task(model, task, request):
    if "forbidden" in request.messages[-1].text:
        raise BadRequest("not that word", param="messages")
    return (yield)
"""
    )
    with pytest.raises(UniversalError, match="not that word"):
        chat("echo/guarded", "forbidden fruit")


def test_news_of_loading_and_unloading_is_told_in_the_http_process_with_the_reason(mine: Install) -> None:
    mine(
        MINE
        + """
news = []

@hookimpl
def model_loaded(info, claim, seconds):
    news.append(("loaded", info.id, claim.backend, seconds > 0))

@hookimpl
def model_unloaded(info, claim, reason):
    news.append(("unloaded", info.id, claim.backend, reason))
"""
    )

    async def main() -> Any:
        async with running() as runtime:
            await ask(runtime, "mine/a")
            await runtime.pool.unload("mine/a", "asked for")
            await ask(runtime, "mine/b")
            entry = next(iter(runtime.pool.entries.values()))
            assert entry.worker is not None
            entry.worker.kill()
            await entry.worker.closed.wait()
            await entry.worker.exit_reason()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await ask(runtime, "mine/c")
            module = runtime.plugins.manager.get_plugin("mine")
        return module.news

    assert asyncio.run(main()) == [
        ("loaded", "mine/a", "mine", True),
        ("unloaded", "mine/a", "mine", "asked for"),
        ("loaded", "mine/b", "mine", True),
        ("unloaded", "mine/b", "mine", "killed by SIGKILL (out of memory?)"),
        ("loaded", "mine/c", "mine", True),
        ("unloaded", "mine/c", "mine", "the server stops"),
    ]


def test_news_of_calls_that_ended_and_loads_that_failed_is_told_in_the_http_process(mine: Install) -> None:
    mine(
        TOP
        + """
news = []

@hookimpl
def request_finished(record):
    news.append(record)

@hookimpl
def load_failed(name, info, claim, error):
    news.append((name, info.id, claim.backend, error.code))
"""
    )

    async def main() -> Any:
        config = Config(model={"broken": ModelConfig(model="echo/fails")})
        async with running(config) as runtime:
            await ask(runtime, "echo/a", "one two")
            with pytest.raises(UniversalError):
                await ask(runtime, "broken")
            return runtime.plugins.manager.get_plugin("mine").news

    answered, load, failed = asyncio.run(main())
    assert (answered.model, answered.task, answered.backend, answered.outcome) == ("echo/a", "chat", "echo", "ok")
    assert (answered.tokens_out, answered.finish_reasons, answered.generates) == (2, ("stop",), True)
    assert answered.first_seconds >= answered.load_seconds > 0
    parts = answered.load_seconds + answered.queue_seconds + answered.prefill_seconds + answered.generate_seconds
    assert answered.seconds >= parts > 0
    assert load == ("broken", "echo/fails", "echo", "model_load_failed")
    assert (failed.model, failed.info_id, failed.outcome) == ("broken", "echo/fails", "model_load_failed")
    assert (failed.first_seconds, failed.tokens_out) == (None, 0)


def test_who_fails_at_news_harms_neither_the_request_nor_the_others(
    mine: Install, caplog: pytest.LogCaptureFixture
) -> None:
    mine(
        TOP
        + """
@hookimpl
def request_finished(record):
    raise RuntimeError("no ink left")
"""
    )

    async def main() -> tuple[str, Scrape]:
        async with running() as runtime:
            return await ask(runtime, "echo/a", "hello"), await scrape(runtime)

    text, found = asyncio.run(main())
    assert text == "hello"
    assert found.value("requests_total", outcome="ok") == 1
    assert "plugin mine failed in request_finished" in caplog.text


def test_list_models_puts_a_plugins_models_on_the_list(mine: Install) -> None:
    mine(
        MINE
        + """
@hookimpl
def list_models():
    ref = ModelRef.parse("mine/listed")
    yield ModelInfo(id="mine/listed", ref=ref, source="mine", path="", created=7)
"""
    )
    client = TestClient(create_app(Runtime(Config())))
    rows = {row["id"]: row for row in client.get("/v1/models").json()["data"]}
    row = rows["mine/listed"]
    assert (row["object"], row["created"], row["owned_by"], row["state"]) == ("model", 7, "mine", "cached")
    assert (row["tasks"], row["backend"]) == (["chat"], "mine")
    message = client.post("/v1/models/load", json={"model": "mien/listed"}).json()["error"]["message"]
    assert "mine/listed" in message


def test_delete_model_is_answered_by_the_source_that_has_the_model(mine: Install) -> None:
    mine(
        MINE
        + """
@hookimpl
def delete_model(ref, files):
    if ref.name.startswith("mine/"):
        return lambda: len(ref.name)
"""
    )

    async def main() -> None:
        async with running() as runtime:
            await ask(runtime, "mine/first")
            transport = httpx.ASGITransport(create_app(runtime))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                answer = (await client.delete("/v1/models/mine/first")).json()
            assert answer == {"id": "mine/first", "object": "model", "deleted": True, "freed_bytes": 10}
            assert runtime.models() == []

    asyncio.run(main())


def test_register_routes_adds_endpoints_and_may_replace_one_of_the_cores(mine: Install) -> None:
    mine(
        TOP
        + """
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def joke(request):
    return PlainTextResponse(f"served by {request.app.state.runtime.version}")

async def mine(request):
    return PlainTextResponse("mine")

@hookimpl
def register_routes(runtime):
    assert runtime.config.server.port
    return [Route("/joke", joke), Route("/health", mine)]
"""
    )
    client = TestClient(create_app(Runtime(Config())))
    assert client.get("/joke").text.startswith("served by ")
    assert client.get("/health").text == "mine"


def test_register_commands_adds_commands_to_the_command_line(mine: Install) -> None:
    mine(
        TOP
        + """
import click

@click.command("sing")
@click.argument("song")
def sing(song):
    \"\"\"Sing a SONG.\"\"\"
    click.echo(f"la la {song}")

@hookimpl
def register_commands():
    return [sing]
"""
    )
    runner = CliRunner()
    assert re.search(r"sing +Sing a SONG\.", runner.invoke(universal, ["--help"]).output)
    assert runner.invoke(universal, ["sing", "loud"]).output == "la la loud\n"


def test_every_hook_is_a_question_or_news_with_a_contract() -> None:
    specs = [value for value in vars(universal_core.hookspecs).values() if hasattr(value, "universal_spec")]
    names = {spec.__name__ for spec in specs}
    assert names == {
        *("register_backends", "register_routes", "register_commands", "list_models", "expand_name", "find_model"),
        *("fetch_model", "delete_model", "claim_model", "load_model", "run_task", "model_loaded", "model_unloaded"),
        *("load_failed", "request_finished", "estimate_memory"),
    }
    assert all(spec.__doc__ for spec in specs)
