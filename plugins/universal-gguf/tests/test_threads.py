"""How many threads compute: from what the process had of the processor, and what was left over."""

import pytest

from universal_core import usable_cores
from universal_gguf.threads import Threads, affordable

Look = tuple[float, float, float]


class Told:
    """What is told how many threads to use."""

    def __init__(self) -> None:
        self.counts: list[tuple[int, int]] = []

    def use_threads(self, count: int, batch_count: int) -> None:
        self.counts.append((count, batch_count))


class Machine:
    """A clock, and a processor that this process had a share of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
        self.cores = cores
        self.now = self.had = self.idle = 0.0
        monkeypatch.setattr("universal_gguf.threads.usable_cores", lambda: cores)
        monkeypatch.setattr(Threads, "_look", lambda threads: (self.now, self.had, self.idle))

    def pass_by(self, seconds: float, *, had: float, others: float) -> None:
        """Let time pass in which this process had so many cores, and others so many."""
        self.now += seconds
        self.had += seconds * had
        self.idle += seconds * max(0.0, self.cores - had - others)


@pytest.mark.parametrize(
    ("had", "idle", "most", "expected"),
    [
        (4.0, 0.0, 4, 4),
        (2.0, 2.0, 4, 4),
        (2.0, 0.0, 4, 2),
        (3.7, 0.0, 4, 4),
        (3.5, 0.0, 4, 3),
        (0.2, 0.0, 4, 1),
        (0.0, 0.0, 4, 1),
        (8.0, 8.0, 4, 4),
        (1.0, 0.0, 1, 1),
    ],
)
def test_there_are_threads_for_what_was_used_and_what_was_idle(
    had: float, idle: float, most: int, expected: int
) -> None:
    assert affordable((10.0, 5.0, 7.0), (12.0, 5.0 + 2 * had, 7.0 + 2 * idle), most) == expected


def test_no_time_at_all_is_no_error() -> None:
    assert affordable((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), 4) == 1


def test_a_busy_machine_gets_fewer_threads_and_a_free_one_all_again(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, told = Machine(monkeypatch, 8), Told()
    threads = Threads(None, None, clock=lambda: machine.now)
    assert threads.count == 8
    machine.pass_by(1, had=4, others=4)
    threads.adapt(told)
    machine.pass_by(1, had=4, others=0)
    threads.adapt(told)
    assert told.counts == [(4, 4), (8, 8)]


def test_it_looks_a_few_times_a_second_only(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, told = Machine(monkeypatch, 8), Told()
    threads = Threads(None, None, clock=lambda: machine.now)
    for _ in range(10):
        machine.pass_by(0.02, had=1, others=7)
        threads.adapt(told)
    assert told.counts == []
    machine.pass_by(0.1, had=1, others=7)
    threads.adapt(told)
    assert told.counts == [(1, 1)]


def test_nothing_is_told_where_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, told = Machine(monkeypatch, 4), Told()
    threads = Threads(None, None, clock=lambda: machine.now)
    for _ in range(5):
        machine.pass_by(1, had=3, others=0)
        threads.adapt(told)
    assert told.counts == []


def test_a_number_that_was_asked_for_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, told = Machine(monkeypatch, 8), Told()
    threads = Threads(3, 5, clock=lambda: machine.now)
    threads.apply(told)
    machine.pass_by(1, had=1, others=7)
    threads.adapt(told)
    assert told.counts == [(3, 5)]


def test_threads_for_prompts_are_a_number_of_their_own_as_far_as_there_are_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine, told = Machine(monkeypatch, 8), Told()
    threads = Threads(None, 6, clock=lambda: machine.now)
    threads.apply(told)
    machine.pass_by(1, had=4, others=4)
    threads.adapt(told)
    assert told.counts == [(8, 6), (4, 4)]


def test_the_real_look_finds_this_machine() -> None:
    threads = Threads(None, None)
    assert threads.most == usable_cores() >= 1
    before, after = threads._look(), threads._look()
    assert all(later >= earlier for earlier, later in zip(before, after, strict=True))
