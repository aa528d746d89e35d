"""Who is told how many models are busy, and when. The workers are scripted; a real one is told in test_process."""

import asyncio
from collections.abc import Callable

import pytest

from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, ModelRef, busy
from universal_core.busy import BusyModels
from universal_core.entry import Entry, Plan

BACKEND = Backend(name="scripted", model="no.such:Model", tasks=("chat",))


class Told:
    """Stands where a worker is: keeps what it is told, each number once, as a worker does."""

    def __init__(self) -> None:
        self.numbers = [1]

    def tell_busy(self, models: int) -> None:
        if models != self.numbers[-1]:
            self.numbers.append(models)


class Crowd:
    """Models that jobs run on, and a clock that is moved on by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.models = BusyModels()
        self._timers: list[Callable[[], None]] = []
        self.delays: list[float] = []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "call_later", self._later)

    def _later(self, delay: float, call: Callable[[], None]) -> object:
        self.delays.append(delay)
        self._timers.append(call)
        return call

    def model(self, name: str, device: str = "cpu") -> Entry:
        info = ModelInfo(id=name, ref=ModelRef.parse(name), source="test", path="")
        claim = Claim(backend="scripted", tasks=("chat",), reason="test", memory=MemoryEstimate(1))
        plan = Plan(name=name, info=info, claim=claim, backend=BACKEND, options={}, devices=(device,))
        entry = Entry(plan, 1)
        entry.worker = Told()  # type: ignore[assignment]
        return entry

    def begin(self, *entries: Entry) -> None:
        for entry in entries:
            entry.active += 1
            self.models.note(entry)

    def end(self, *entries: Entry) -> None:
        for entry in entries:
            entry.active -= 1
            self.models.note(entry)

    @property
    def waits(self) -> bool:
        return bool(self._timers)

    def wait(self) -> None:
        """Let the time go by that a decrease waits for."""
        (call,) = self._timers
        self._timers.clear()
        call()


def told(entry: Entry) -> list[int]:
    assert isinstance(entry.worker, Told)
    return entry.worker.numbers


def with_crowd(monkeypatch: pytest.MonkeyPatch, use: Callable[[Crowd], None]) -> None:
    async def main() -> None:
        use(Crowd(monkeypatch))

    asyncio.run(main())


def test_more_are_told_at_once_and_fewer_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    def use(crowd: Crowd) -> None:
        one, two, three = crowd.model("one"), crowd.model("two"), crowd.model("three")
        crowd.begin(one, two, three)
        assert (told(one), told(two), told(three)) == ([1, 2, 3], [1, 2, 3], [1, 3])
        crowd.end(three)
        assert told(one) == [1, 2, 3]
        crowd.wait()
        assert (told(one), told(two)) == ([1, 2, 3, 2], [1, 2, 3, 2])
        assert crowd.delays == [busy.LINGER]

    with_crowd(monkeypatch, use)


def test_one_alone_hears_nothing_however_often_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def use(crowd: Crowd) -> None:
        one = crowd.model("one")
        for _ in range(100):
            crowd.begin(one, one)
            crowd.end(one, one)
        assert told(one) == [1]
        assert not crowd.waits

    with_crowd(monkeypatch, use)


def test_two_that_take_turns_hear_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def use(crowd: Crowd) -> None:
        one, two = crowd.model("one"), crowd.model("two")
        for _ in range(100):
            crowd.begin(one)
            crowd.end(one)
            crowd.begin(two)
            crowd.end(two)
        assert (told(one), told(two)) == ([1], [1])

    with_crowd(monkeypatch, use)


def test_a_neighbour_that_is_asked_again_and_again_stays_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def use(crowd: Crowd) -> None:
        one, two = crowd.model("one"), crowd.model("two")
        crowd.begin(one)
        for _ in range(100):
            crowd.begin(two)
            crowd.end(two)
        assert told(one) == [1, 2]
        crowd.begin(two)
        crowd.end(two)
        # Within the time that is waited for they were two, so they are for as long again.
        crowd.wait()
        assert told(one) == [1, 2]
        crowd.wait()
        assert told(one) == [1, 2, 1]
        assert not crowd.waits

    with_crowd(monkeypatch, use)


def test_an_idle_worker_is_told_when_it_gets_something_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def use(crowd: Crowd) -> None:
        one, two, three = crowd.model("one"), crowd.model("two"), crowd.model("three")
        crowd.begin(one, two)
        crowd.end(two)
        crowd.wait()
        assert (told(one), told(two), told(three)) == ([1, 2, 1], [1, 2], [1])
        crowd.end(one)
        crowd.begin(two)
        assert told(two) == [1, 2, 1]

    with_crowd(monkeypatch, use)


def test_when_nothing_runs_any_more_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def use(crowd: Crowd) -> None:
        one, two = crowd.model("one"), crowd.model("two")
        crowd.begin(one, two)
        crowd.end(one, two)
        crowd.wait()
        assert not crowd.waits

    with_crowd(monkeypatch, use)


def test_a_model_on_an_accelerator_neither_counts_nor_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    def use(crowd: Crowd) -> None:
        one, two, three = crowd.model("one"), crowd.model("two", "cuda"), crowd.model("three")
        crowd.begin(one, two)
        assert (told(one), told(two)) == ([1], [1])
        crowd.begin(three)
        assert (told(one), told(two)) == ([1, 2], [1])

    with_crowd(monkeypatch, use)
