"""The pool: who is loaded, who waits, who has to go. Its workers are scripted here; real ones are tested elsewhere."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, ModelRef, memory, pool, room
from universal_core.config import Config, PoolConfig, WorkersConfig
from universal_core.entry import Entry, Lease, Plan
from universal_core.errors import (
    DeadlineExceeded,
    Draining,
    InsufficientMemory,
    LoadFailed,
    QueueFull,
    UniversalError,
)
from universal_core.frames import AnyFrame, Cancel, Ended, Memory
from universal_core.memory import Device
from universal_core.pool import Pool
from universal_core.process import Stream

DEADLINE = 10.0
BACKEND = Backend(name="scripted", model="no.such:Model", tasks=("chat",))


class ScriptedWorker:
    """A worker that does what the plan's options say: wait for ``gate``, fail with ``error``, take ``memory``."""

    started: list["ScriptedWorker"]

    def __init__(self) -> None:
        self.pid = 1
        self.name = ""
        self.memory = Memory(0, 0)
        self.closed = asyncio.Event()
        self.killed = asyncio.Event()
        self.stop_gate: asyncio.Event | None = None
        self.stopped: float | None = None
        self.sent: list[AnyFrame] = []
        self.streams: list[Stream] = []
        self.busy: list[int] = []
        self.measured: Callable[[], None] = lambda: None

    async def load(
        self, info: ModelInfo, claim: Claim, options: dict[str, Any], report: Callable[..., None]
    ) -> ModelInfo:
        """Load as scripted."""
        self.name = info.id
        self.stop_gate = options.get("stop_gate")
        self.started.append(self)
        if "gate" in options:
            await options["gate"].wait()
        if "error" in options:
            raise options["error"]
        self.memory = Memory(options.get("memory", 0), 0)
        return info

    def run(self, task: str, request: Any, request_id: str) -> Stream:
        """Begin a job that nothing ever answers."""
        self.streams.append(Stream(len(self.streams), self.sent.append))
        return self.streams[-1]

    def tell_busy(self, models: int) -> None:
        """Keep what it is told, news or not."""
        self.busy.append(models)

    async def exit_reason(self) -> str:
        """Say how it ended."""
        return "killed by SIGKILL"

    def kill(self) -> None:
        """End at once."""
        self.killed.set()
        self.closed.set()

    async def stop(self, grace: float) -> None:
        """End in order."""
        if self.stop_gate is not None:
            await self.stop_gate.wait()
        self.stopped = grace
        self.closed.set()


class News:
    """Stands for all plugins: keeps what they are told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    def tell(self, hook: str, **arguments: Any) -> None:
        """Keep the news."""
        self.told.append((hook, arguments["info"].id, arguments.get("reason", "")))


class Bench:
    """A pool with scripted workers on a machine with room for 100 bytes."""

    def __init__(self, workers: WorkersConfig | None = None, **settings: Any) -> None:
        self.news = News()
        settings = {"memory_limit": 100, "takeover": 0.0, "measurements": "", **settings}
        self.pool = Pool(Config(pool=PoolConfig(**settings), workers=workers or WorkersConfig()), self.news)  # type: ignore[arg-type]

    def plan(self, name: str, size: int = 10, *, slots: int = 1, pinned: bool = False, **options: Any) -> Plan:
        """Return a plan for a model of this size."""
        info = ModelInfo(id=name, ref=ModelRef.parse(name), source="test", path="")
        claim = Claim(backend="scripted", tasks=("chat",), reason="test", memory=MemoryEstimate(size), slots=slots)
        return Plan(name=name, info=info, claim=claim, backend=BACKEND, options=options, pinned=pinned)

    @property
    def loaded(self) -> list[str]:
        """The names of the models in memory."""
        return sorted(entry.plan.name for entry in self.pool.entries.values())

    async def use(self, *plans: Plan) -> None:
        """Use models one after another."""
        for plan in plans:
            (await self.pool.lease(plan, "key")).release()


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedWorker]:
    """Let pools start scripted workers; return those that were started."""
    started: list[ScriptedWorker] = []
    monkeypatch.setattr(ScriptedWorker, "started", started, raising=False)
    monkeypatch.setattr(pool, "Worker", ScriptedWorker)
    monkeypatch.setattr(pool.Launcher, "launch", launch)
    monkeypatch.setattr(memory, "device", lambda name: Device("cpu", "test", 10_000, 10_000))
    return started


async def launch(*_: Any) -> None:
    """Start nothing."""


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(DEADLINE):
            await main()

    asyncio.run(limited())


async def turn() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_simultaneous_first_requests_load_a_model_once(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench()
        plan = bench.plan("m", slots=4)

        async def use() -> None:
            lease = await bench.pool.lease(plan, "key")
            await asyncio.sleep(0)
            lease.release()

        await asyncio.gather(*(use() for _ in range(100)))
        assert len(scripted) == 1
        assert bench.news.told == [("model_loaded", "m", "")]

    run(main)


def test_what_cannot_fit_is_refused_with_the_numbers_before_a_worker_starts(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench()
        with pytest.raises(InsufficientMemory, match=r"m needs about 101 B on cpu .*100 B of 100 B are free"):
            await bench.use(bench.plan("m", 101))
        assert scripted == []
        assert bench.loaded == []

    run(main)


def test_what_cannot_fit_is_not_even_downloaded(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench()
        far = bench.plan("far", 101)
        far = msgspec.structs.replace(far, info=msgspec.structs.replace(far.info, path=None))
        with pytest.raises(InsufficientMemory, match="far needs about 101 B"):
            await bench.use(far)
        assert bench.pool.downloads.active == []
        assert scripted == []

    run(main)


def test_a_refusal_for_memory_is_forgotten_once_there_is_room() -> None:
    async def main() -> None:
        bench = Bench()
        lease = await bench.pool.lease(bench.plan("busy", 60), "key")
        with pytest.raises(InsufficientMemory, match=r"in use or pinned: busy \(60 B\)"):
            await bench.use(bench.plan("m", 60))
        lease.release()
        await bench.use(bench.plan("m", 60))
        assert bench.loaded == ["m"]

    run(main)


def test_the_least_recently_used_model_goes_first() -> None:
    async def main() -> None:
        bench = Bench()
        a, b, c = (bench.plan(name, 30) for name in "abc")
        await bench.use(a, b, c, a)
        await bench.use(bench.plan("d", 30))
        assert bench.loaded == ["a", "c", "d"]
        await bench.use(bench.plan("e", 30))
        assert bench.loaded == ["a", "d", "e"]
        assert ("model_unloaded", "b", "to make room for d") in bench.news.told

    run(main)


def test_as_many_go_as_are_in_the_way_and_no_more() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.use(*(bench.plan(name, 30) for name in "abc"))
        await bench.use(bench.plan("big", 60))
        assert bench.loaded == ["big", "c"]

    run(main)


def test_none_goes_in_vain() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.use(bench.plan("idle", 40))
        lease = await bench.pool.lease(bench.plan("busy", 40), "key")
        with pytest.raises(InsufficientMemory):
            await bench.use(bench.plan("big", 70))
        assert bench.loaded == ["busy", "idle"]
        lease.release()

    run(main)


def test_a_model_in_use_is_never_made_to_go() -> None:
    async def main() -> None:
        bench = Bench()
        lease = await bench.pool.lease(bench.plan("busy", 60), "key")
        await bench.use(bench.plan("idle", 30))
        await bench.use(bench.plan("new", 40))
        assert bench.loaded == ["busy", "new"]
        lease.release()

    run(main)


def test_a_model_that_somebody_waits_for_is_in_use() -> None:
    async def main() -> None:
        bench = Bench()
        gate = asyncio.Event()
        waiting = asyncio.ensure_future(bench.pool.lease(bench.plan("loading", 60, gate=gate), "key"))
        await turn()
        with pytest.raises(InsufficientMemory):
            await bench.use(bench.plan("new", 60))
        gate.set()
        (await waiting).release()

    run(main)


def test_a_pinned_model_stays_whatever_comes() -> None:
    async def main() -> None:
        bench = Bench(unload_timeout=1e-9)
        await bench.use(bench.plan("pinned", 60, pinned=True))
        with pytest.raises(InsufficientMemory, match="pinned"):
            await bench.use(bench.plan("new", 60))
        await bench.pool.sweep()
        assert bench.loaded == ["pinned"]

    run(main)


def test_what_a_model_really_takes_replaces_the_estimate() -> None:
    async def main() -> None:
        bench = Bench()
        lease = await bench.pool.lease(bench.plan("hungry", 20, memory=70), "key")
        assert next(iter(bench.pool.entries.values())).counted("cpu") == 70
        with pytest.raises(InsufficientMemory, match=r"hungry \(70 B\)"):
            await bench.use(bench.plan("new", 40))
        lease.release()

    run(main)


def test_a_model_that_has_worked_keeps_no_more_than_it_takes(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench()
        modest = await bench.pool.lease(bench.plan("modest", 90, memory=10), "key")
        # Its file may be mapped, and not have been touched yet.
        with pytest.raises(InsufficientMemory, match=r"modest \(90 B\)"):
            await bench.use(bench.plan("new", 40))
        scripted[0].measured()
        await bench.use(bench.plan("new", 40))
        assert bench.loaded == ["modest", "new"]
        modest.release()

    run(main)


def test_what_a_model_took_is_known_the_next_time_it_is_loaded(scripted: list[ScriptedWorker], tmp_path: Path) -> None:
    async def main() -> None:
        kept = str(tmp_path / "kept" / "measured.json")
        bench = Bench(measurements=kept)
        await bench.use(bench.plan("m", 20, memory=70))
        scripted[0].measured()
        again = Bench(measurements=kept)
        lease = await again.pool.lease(again.plan("m", 20, memory=70), "key")
        assert lease.entry.reserved == {"cpu": 70}
        lease.release()
        other = await again.pool.lease(again.plan("other", 20), "key")
        assert other.entry.reserved == {"cpu": 20}
        other.release()

    run(main)


def test_the_smallest_set_of_idle_models_goes_that_is_enough() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.use(bench.plan("small", 20), bench.plan("large", 60), bench.plan("last", 20))
        await bench.use(bench.plan("new", 50))
        assert bench.loaded == ["last", "new", "small"]

    run(main)


def test_no_other_goes_for_memory_that_is_on_its_way_back(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench()
        gate = asyncio.Event()
        await bench.use(bench.plan("going", 50, stop_gate=gate), bench.plan("idle", 50))
        unloading = asyncio.ensure_future(bench.pool.unload("going", "asked for"))
        waiting = asyncio.ensure_future(bench.use(bench.plan("new", 50)))
        await turn()
        gate.set()
        await asyncio.gather(unloading, waiting)
        assert bench.loaded == ["idle", "new"]

    run(main)


def test_memory_that_comes_back_late_is_waited_for(
    scripted: list[ScriptedWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.use(bench.plan("old", 60, memory=60), bench.plan("idle", 30, memory=30))
        late = iter(range(5))

        def device(_: str) -> Device:
            returned = scripted[0].closed.is_set() and next(late, None) is None
            return Device("cpu", "test", 100, 70 if returned else 10)

        monkeypatch.setattr(memory, "device", device)
        monkeypatch.setattr(room, "LOOK_INTERVAL", 0.0)
        await bench.use(bench.plan("new", 60))
        assert bench.loaded == ["idle", "new"]

    run(main)


def test_one_that_waits_for_a_model_in_use_gets_its_memory_in_the_end(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench(takeover=0.01)
        running = await bench.pool.lease(bench.plan("old", 60, slots=2), "key")
        waiting = asyncio.ensure_future(bench.pool.lease(bench.plan("new", 60), "key"))
        while "old" in bench.loaded:
            await bench.pool.room.news()
        assert not waiting.done()
        assert not scripted[0].closed.is_set(), "what runs was cut off"
        running.release()
        (await waiting).release()
        assert bench.loaded == ["new"]
        assert scripted[0].closed.is_set()
        assert ("model_unloaded", "old", "to make room for new") in bench.news.told

    run(main)


def test_a_model_in_use_that_becomes_idle_makes_room_at_once() -> None:
    async def main() -> None:
        bench = Bench(takeover=1000.0)
        running = await bench.pool.lease(bench.plan("old", 60), "key")
        waiting = asyncio.ensure_future(bench.pool.lease(bench.plan("new", 60), "key"))
        await turn()
        assert bench.loaded == ["new", "old"]
        running.release()
        (await waiting).release()
        assert bench.loaded == ["new"]

    run(main)


def test_one_who_waits_behind_a_takeover_gets_the_model_loaded_again(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench(takeover=0.01)
        old, new = bench.plan("old", 60), bench.plan("new", 60)
        running = await bench.pool.lease(old, "key")
        behind = asyncio.ensure_future(bench.use(old))
        waiting = asyncio.ensure_future(bench.use(new))
        while "old" in bench.loaded:
            await bench.pool.room.news()
        running.release()
        await asyncio.gather(behind, waiting)
        assert [worker.name for worker in scripted] == ["old", "new", "old"]
        assert bench.loaded == ["old"]

    run(main)


def test_models_that_fit_only_one_at_a_time_take_turns_under_load(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench(takeover=0.001)
        served = {"a": 0, "b": 0, "c": 0}

        async def client(name: str) -> None:
            plan = bench.plan(name, 60, slots=2)
            for _ in range(20):
                lease = await bench.pool.lease(plan, "key")
                alive = [worker for worker in scripted if worker.stopped is None]
                assert len(alive) == 1, "two were in memory at once"
                await asyncio.sleep(0)
                lease.release()
                served[name] += 1

        await asyncio.gather(*(client(name) for name in "abcabcabc"))
        assert served == {"a": 60, "b": 60, "c": 60}

    run(main)


def test_a_retired_model_finishes_what_runs_and_new_requests_load_it_again(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench()
        plan = bench.plan("m", 10)
        running = await bench.pool.lease(plan, "key")
        bench.pool.retire(running.entry, "its options changed", "changed")
        again = await bench.pool.lease(plan, "key")
        assert again.entry is not running.entry
        assert not scripted[0].closed.is_set()
        running.release()
        await scripted[0].closed.wait()
        again.release()
        assert bench.loaded == ["m"]

    run(main)


def test_a_closing_pool_stops_those_that_are_leaving_too(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench()
        running = await bench.pool.lease(bench.plan("m", 10), "key")
        bench.pool.retire(running.entry, "its options changed", "changed")
        await bench.pool.close()
        assert scripted[0].closed.is_set()
        running.release()

    run(main)


def test_models_that_load_at_the_same_time_do_not_share_their_memory() -> None:
    async def main() -> None:
        bench = Bench()
        gate = asyncio.Event()
        uses = [bench.use(bench.plan(name, 60, gate=gate)) for name in "ab"]
        jobs = [asyncio.ensure_future(use) for use in uses]
        await turn()
        gate.set()
        first, second = await asyncio.gather(*jobs, return_exceptions=True)
        assert first is None
        assert isinstance(second, InsufficientMemory)

    run(main)


def test_a_failed_load_says_why_to_everyone_and_is_not_tried_again_at_once(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench(retry_delay=1000.0)
        plan = bench.plan("m", slots=2, error=LoadFailed("the weights are rotten"))
        found = await asyncio.gather(*(bench.use(plan) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(error, LoadFailed) and "rotten" in error.message for error in found)
        with pytest.raises(LoadFailed, match=r"rotten \(not tried again for \d+ s"):
            await bench.use(plan)
        assert len(scripted) == 1
        assert bench.loaded == []
        assert scripted[0].closed.is_set()

    run(main)


def test_a_failed_load_is_tried_again_after_the_delay(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench(retry_delay=0.0)
        with pytest.raises(LoadFailed):
            await bench.use(bench.plan("m", error=LoadFailed("not today")))
        await bench.use(bench.plan("m"))
        assert len(scripted) == 2
        assert bench.loaded == ["m"]

    run(main)


def test_asking_for_the_load_itself_tries_at_once(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench(retry_delay=1000.0)
        with pytest.raises(LoadFailed):
            await bench.use(bench.plan("m", error=LoadFailed("not today")))
        await bench.pool.load(bench.plan("m"))
        await bench.use(bench.plan("m"))
        assert len(scripted) == 2

    run(main)


def test_one_who_has_waited_too_long_is_told_and_the_load_goes_on(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench(load_timeout=0.01)
        gate = asyncio.Event()
        plan = bench.plan("m", gate=gate)
        with pytest.raises(DeadlineExceeded, match="m is still loading after"):
            await bench.use(plan)
        gate.set()
        await bench.use(plan)
        assert len(scripted) == 1

    run(main)


def test_nobody_waits_longer_for_a_load_because_others_wait_too() -> None:
    async def main() -> None:
        bench = Bench(load_timeout=0.2)
        gate = asyncio.Event()
        plan = bench.plan("m", slots=1, gate=gate)
        jobs = [asyncio.ensure_future(bench.use(plan)) for _ in range(20)]
        _, waiting = await asyncio.wait(jobs, timeout=2.0)
        gate.set()
        found = await asyncio.gather(*jobs, return_exceptions=True)
        assert not waiting, f"{len(waiting)} of 20 waited in turn for one deadline each"
        assert all(isinstance(error, DeadlineExceeded) for error in found)

    run(main)


def test_one_who_gives_up_leaves_the_load_to_the_others(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench()
        gate = asyncio.Event()
        plan = bench.plan("m", slots=2, gate=gate)
        impatient, patient = (asyncio.ensure_future(bench.use(plan)) for _ in range(2))
        await turn()
        impatient.cancel()
        await turn()
        gate.set()
        await patient
        assert (len(scripted), bench.loaded) == (1, ["m"])
        assert next(iter(bench.pool.entries.values())).users == 0

    run(main)


def test_a_model_that_is_called_off_while_it_loads_is_gone() -> None:
    async def main() -> None:
        bench = Bench()
        waiting = asyncio.ensure_future(bench.use(bench.plan("m", gate=asyncio.Event())))
        await turn()
        assert await bench.pool.unload("m", "asked for") == 1
        with pytest.raises(LoadFailed, match="called off"):
            await waiting
        assert bench.loaded == []

    run(main)


def test_one_that_is_to_make_room_goes_even_if_the_one_it_goes_for_is_called_off(
    scripted: list[ScriptedWorker],
) -> None:
    async def main() -> None:
        bench = Bench()
        gate = asyncio.Event()
        await bench.use(bench.plan("old", 60, stop_gate=gate))
        waiting = asyncio.ensure_future(bench.use(bench.plan("new", 60)))
        await turn()
        calling_off = asyncio.ensure_future(bench.pool.unload("new", "asked for"))
        await turn()
        gate.set()
        await calling_off
        await asyncio.gather(waiting, return_exceptions=True)
        await turn()
        assert scripted[0].closed.is_set(), "its process was forgotten and runs on"
        assert ("model_unloaded", "old", "to make room for new") in bench.news.told

    run(main)


def test_idle_models_go_after_a_while_and_used_ones_stay() -> None:
    async def main() -> None:
        bench = Bench(unload_timeout=1e-9)
        await bench.use(bench.plan("idle"))
        lease = await bench.pool.lease(bench.plan("busy"), "key")
        await bench.pool.sweep()
        assert bench.loaded == ["busy"]
        assert ("model_unloaded", "idle", "idle for 0 s") in bench.news.told
        lease.release()

    run(main)


@pytest.mark.parametrize("timeout", [0.0, 1000.0])
def test_idle_models_stay_for_as_long_as_they_may(timeout: float) -> None:
    async def main() -> None:
        bench = Bench(unload_timeout=timeout)
        await bench.use(bench.plan("idle"))
        await bench.pool.sweep()
        assert bench.loaded == ["idle"]

    run(main)


def test_one_who_waits_for_a_model_that_is_unloaded_gets_it_loaded_again(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench()
        plan = bench.plan("m")
        lease = await bench.pool.lease(plan, "key")
        waiting = asyncio.ensure_future(bench.pool.lease(plan, "key"))
        await turn()
        await bench.pool.unload("m", "asked for")
        lease.release()
        second = await waiting
        assert len(scripted) == 2
        assert second.entry.worker is scripted[1]  # type: ignore[comparison-overlap]
        second.release()

    run(main)


def test_a_worker_that_dies_is_gone_at_once_and_loaded_again_by_the_next_request(
    scripted: list[ScriptedWorker],
) -> None:
    async def main() -> None:
        bench = Bench()
        await bench.use(bench.plan("m"))
        scripted[0].kill()
        await turn()
        assert bench.loaded == []
        assert bench.news.told[-1] == ("model_unloaded", "m", "killed by SIGKILL")
        await bench.use(bench.plan("m"))
        assert len(scripted) == 2

    run(main)


def test_more_than_may_wait_are_refused_and_told_when_to_come_again() -> None:
    async def main() -> None:
        bench = Bench(queue_limit=1)
        plan = bench.plan("m")
        lease = await bench.pool.lease(plan, "key")
        waiting = asyncio.ensure_future(bench.use(plan))
        await turn()
        with pytest.raises(QueueFull) as raised:
            await bench.use(plan)
        assert raised.value.retry_after
        lease.release()
        await waiting
        assert next(iter(bench.pool.entries.values())).users == 0

    run(main)


def test_a_draining_pool_finishes_what_runs_and_takes_nothing_new() -> None:
    async def main() -> None:
        bench = Bench()
        lease = await bench.pool.lease(bench.plan("m"), "key")
        draining = asyncio.ensure_future(bench.pool.drain(DEADLINE))
        await turn()
        with pytest.raises(Draining) as raised:
            await bench.use(bench.plan("m"))
        assert raised.value.retry_after == 5
        assert not draining.done()
        lease.release()
        await draining

    run(main)


def test_draining_gives_up_on_what_does_not_finish() -> None:
    async def main() -> None:
        bench = Bench()
        lease = await bench.pool.lease(bench.plan("m"), "key")
        await bench.pool.drain(0.0)
        lease.release()

    run(main)


def test_a_closing_pool_stops_every_worker_with_the_configured_grace(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench(WorkersConfig(stop_grace=3.5))
        await bench.use(bench.plan("a"), bench.plan("b"))
        loading = asyncio.ensure_future(bench.use(bench.plan("c", gate=asyncio.Event())))
        await turn()
        await bench.pool.close()
        with pytest.raises(UniversalError):
            await loading
        assert [worker.stopped for worker in scripted[:2]] == [3.5, 3.5]
        assert all(worker.closed.is_set() for worker in scripted)
        assert bench.loaded == []

    run(main)


def test_a_slot_is_free_only_when_the_model_has_really_stopped_working_on_the_job(
    scripted: list[ScriptedWorker],
) -> None:
    async def main() -> None:
        bench = Bench()
        plan = bench.plan("m")
        lease = await bench.pool.lease(plan, "key")
        stream = lease.run("chat", None, "req_1")
        batches = stream.batches()
        waiting = asyncio.ensure_future(anext(batches))
        await turn()
        waiting.cancel()
        await turn()
        assert scripted[0].sent == [Cancel(0)]
        lease.release()
        following = asyncio.ensure_future(bench.pool.lease(plan, "key"))
        await turn()
        assert not following.done()
        stream.feed(Ended(0))
        (await following).release()
        assert not scripted[0].killed.is_set()

    run(main)


def test_a_model_that_goes_on_with_a_cancelled_job_is_killed(scripted: list[ScriptedWorker]) -> None:
    async def main() -> None:
        bench = Bench(WorkersConfig(hang_timeout=0.01))
        lease = await bench.pool.lease(bench.plan("m"), "key")
        lease.run("chat", None, "req_1")
        lease.release()
        await scripted[0].killed.wait()
        await turn()
        assert bench.loaded == []

    run(main)


def test_whoever_waits_can_say_what_for() -> None:
    async def main() -> None:
        bench = Bench()
        gate = asyncio.Event()
        seen: list[Entry] = []
        waiting = asyncio.ensure_future(bench.pool.lease(bench.plan("m", gate=gate), "key", seen.append))
        await turn()
        assert seen[0].status == "loading m: starting"
        gate.set()
        lease: Lease = await waiting
        assert seen[0].status == "waiting for m: 1 running, 0 queued"
        lease.release()

    run(main)
