"""What another configuration does to a running server: what it takes, what it refuses, and which models go on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runtimes import DEADLINE, ask, running
from universal_core.config import Config, ConfigError, load
from universal_core.runtime import Reloaded, Runtime


class File:
    """A configuration file, and a runtime that was started from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runtime: Runtime

    async def reload(self, text: str) -> Reloaded:
        """Write another configuration, and have it read."""
        self.path.write_text(text)
        return await self.runtime.reload()


@asynccontextmanager
async def started(folder: Path, text: str) -> AsyncIterator[File]:
    file = File(folder / "universal.toml")
    file.path.write_text(text)
    loaded = load(str(file.path), {}, {"server.keepalive": 7.0})
    async with asyncio.timeout(DEADLINE), running(loaded.config, loaded.sources) as file.runtime:
        yield file


async def until(condition: Callable[[], bool]) -> None:
    # What is waited for here is told to nobody.
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


def pid(runtime: Runtime, name: str) -> int:
    return next(state.pid for state in runtime.models() if state.id == name)


def test_settings_take_effect_and_those_that_need_a_restart_are_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with started(tmp_path, "[pool]\nunload_timeout = 10\n") as file:
            text = "[pool]\nunload_timeout = 20\nqueue_limit = 3\n[server]\nport = 1\nkeepalive = 9\n[model.a]\n"
            found = await file.reload(text)
            assert found == Reloaded(
                changed=("pool.unload_timeout", "pool.queue_limit", "model.a"),
                needs_restart=("server.port",),
                file=str(file.path),
            )
            config = file.runtime.config
            assert (config.pool.unload_timeout, config.server.port) == (20.0, Config().server.port)
            # The command line still counts more than the file.
            assert config.server.keepalive == 7.0
            again = await file.reload(text)
            assert (again.changed, again.needs_restart) == ((), ("server.port",))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[pool]\nunload_timeout = -1\n", "pool.unload_timeout"),
        ("[pool\n", "universal.toml"),
        ("[model.a]\ncontext = 5\noptions = {n_ctx = 5}\n", "context and options.n_ctx are the same"),
    ],
)
def test_a_file_that_is_wrong_changes_nothing(tmp_path: Path, text: str, words: str) -> None:
    async def main() -> None:
        async with started(tmp_path, "[pool]\nqueue_limit = 5\n") as file:
            before, router = file.runtime.config, file.runtime.router
            with pytest.raises(ConfigError, match=words):
                await file.reload(text)
            assert (file.runtime.config, file.runtime.router) == (before, router)

    asyncio.run(main())


def test_options_that_the_backend_of_a_loaded_model_lacks_change_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with started(tmp_path, '[model.a]\nmodel = "echo/a"\n') as file:
            await ask(file.runtime, "a")
            before = pid(file.runtime, "a")
            with pytest.raises(ConfigError, match=r"model\.a: options of .* unknown field dealy; did you mean delay"):
                await file.reload('[model.a]\nmodel = "echo/a"\noptions = {dealy = 1}\n')
            assert await ask(file.runtime, "a") == "hello there"
            assert pid(file.runtime, "a") == before

    asyncio.run(main())


def test_a_server_without_sources_cannot_read_them_again() -> None:
    async def main() -> None:
        async with running() as runtime:
            with pytest.raises(ConfigError, match="not started from a configuration"):
                await runtime.reload()

    asyncio.run(main())


def test_a_model_goes_on_where_nothing_differs_that_it_was_loaded_with(tmp_path: Path) -> None:
    async def main() -> None:
        async with started(tmp_path, '[model.a]\nmodel = "echo/a"\n') as file:
            await ask(file.runtime, "a")
            before = pid(file.runtime, "a")
            text = '[pool]\nqueue_limit = 3\n[model.a]\nmodel = "echo/a"\npinned = true\nunload_timeout = 5\n'
            await file.reload(text + "defaults = {seed = 1}\n")
            (entry,) = file.runtime.pool.entries.values()
            assert entry.queue.limit == 3
            assert (entry.plan.pinned, entry.plan.unload_timeout) == (True, 5.0)
            await ask(file.runtime, "a")
            assert pid(file.runtime, "a") == before

    asyncio.run(main())


@pytest.mark.parametrize(
    "text",
    [
        '[model.a]\nmodel = "echo/a"\noptions = {delay = 0.01}\n',
        '[model.a]\nmodel = "echo/a"\nslots = 2\n',
        '[model.a]\nmodel = "echo/b"\n',
    ],
    ids=["option", "slots", "model"],
)
def test_a_model_that_is_now_run_another_way_answers_what_it_has_begun_and_no_more(tmp_path: Path, text: str) -> None:
    async def main() -> None:
        slow = '[model.a]\nmodel = "echo/a"\noptions = {delay = 0.03}\n'
        async with started(tmp_path, slow) as file:
            await ask(file.runtime, "a")
            before = pid(file.runtime, "a")
            running_still = asyncio.create_task(ask(file.runtime, "a", "repeat 20"))
            await until(lambda: bool(file.runtime.models()[0].active))
            await file.reload(text)
            assert await ask(file.runtime, "a") == "hello there"
            assert pid(file.runtime, "a") != before
            assert (await running_still).split() == [str(number) for number in range(20)]

    asyncio.run(main())


def test_requests_that_wait_are_answered_by_the_new_plan(tmp_path: Path) -> None:
    async def main() -> None:
        text = '[model.a]\nmodel = "echo/a"\nslots = 1\noptions = {{delay = {}}}\n'
        async with started(tmp_path, text.format(0.03)) as file:
            await ask(file.runtime, "a")
            asked = [asyncio.create_task(ask(file.runtime, "a", f"repeat {5 + n}")) for n in range(6)]
            await until(lambda: file.runtime.models()[0].queued == 5)
            await file.reload(text.format(0.0))
            assert [len((await one).split()) for one in asked] == [5, 6, 7, 8, 9, 10]
            (entry,) = file.runtime.pool.entries.values()
            assert entry.plan.options == {"delay": 0, "slots": 1}

    asyncio.run(main())


def test_requests_that_wait_for_a_load_are_answered_by_the_new_plan(tmp_path: Path) -> None:
    async def main() -> None:
        text = '[model.a]\nmodel = "echo/a"\noptions = {{load_seconds = {}}}\n'
        async with started(tmp_path, text.format(0.5)) as file:
            asked = asyncio.create_task(ask(file.runtime, "a"))
            await until(lambda: bool(file.runtime.models()))
            await file.reload(text.format(0.0))
            assert await asked == "hello there"
            (entry,) = file.runtime.pool.entries.values()
            assert entry.plan.options == {"load_seconds": 0.0}

    asyncio.run(main())


def test_a_name_that_is_gone_serves_those_who_asked_before(tmp_path: Path) -> None:
    async def main() -> None:
        text = '[model.a]\nmodel = "echo/a"\nslots = 1\noptions = {delay = 0.02}\n'
        async with started(tmp_path, text) as file:
            await ask(file.runtime, "a")
            asked = [asyncio.create_task(ask(file.runtime, "a", "repeat 6")) for _ in range(3)]
            await until(lambda: file.runtime.models()[0].queued == 2)
            found = await file.reload("")
            assert found.changed == ("model.a",)
            assert [len((await one).split()) for one in asked] == [6, 6, 6]

    asyncio.run(main())


def test_newly_pinned_models_are_loaded_and_no_others(tmp_path: Path) -> None:
    async def main() -> None:
        before = '[models]\npreload = ["echo/gone"]\n[model."echo/a"]\n[model."echo/b"]\npinned = true\n'
        async with started(tmp_path, before) as file:
            await file.runtime.start()
            await file.runtime.preloaded.wait()
            assert {state.id for state in file.runtime.models()} == {"echo/gone", "echo/b"}
            await file.runtime.pool.unload("echo/gone", "a test")
            await file.reload(before.replace('[model."echo/a"]', '[model."echo/a"]\npinned = true'))
            await until(lambda: [state.state for state in file.runtime.models()] == ["ready", "ready"])
            assert {state.id for state in file.runtime.models()} == {"echo/a", "echo/b"}

    asyncio.run(main())


def test_a_pinned_model_that_changed_is_loaded_again_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        text = '[model."echo/a"]\npinned = true\nslots = {}\n'
        async with started(tmp_path, text.format(2)) as file:
            await file.runtime.start()
            await file.runtime.preloaded.wait()
            before = pid(file.runtime, "echo/a")
            await file.reload(text.format(3))
            await until(lambda: bool(any(state.state == "ready" for state in file.runtime.models())))
            assert pid(file.runtime, "echo/a") != before

    asyncio.run(main())


def test_a_check_that_fails_keeps_the_old_configuration(tmp_path: Path) -> None:
    async def main() -> None:
        async with started(tmp_path, "") as file:

            def refuse(config: Config) -> None:
                if config.models.default:
                    raise ConfigError("no default here")

            file.runtime.require(refuse)
            with pytest.raises(ConfigError, match="no default here"):
                await file.reload('[models]\ndefault = "echo/a"\n')
            assert file.runtime.config.models.default is None

    asyncio.run(main())


def test_who_keeps_some_of_it_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with started(tmp_path, "") as file:
            told: list[int] = []
            file.runtime.watch(lambda config: told.append(config.images.max_bytes))
            await file.reload("[images]\nmax_bytes = 5\n")
            assert told == [5]

    asyncio.run(main())


def test_a_model_has_an_idle_time_of_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        text = '[pool]\nunload_timeout = 0.001\n[model."echo/a"]\nunload_timeout = 0\n[model."echo/b"]\n'
        async with started(tmp_path, text) as file:
            for name in ("echo/a", "echo/b"):
                await ask(file.runtime, name)
            while len(file.runtime.models()) > 1:
                await file.runtime.pool.sweep()
            assert [state.id for state in file.runtime.models()] == ["echo/a"]

    asyncio.run(main())
