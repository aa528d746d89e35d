"""How many threads compute: as many as there are cores for, unless a number was asked for."""

import pytest

from universal_core import usable_cores
from universal_gguf.threads import Threads


class Told:
    """What is told how many threads to use."""

    def __init__(self) -> None:
        self.counts: list[tuple[int, int]] = []

    def use_threads(self, count: int, batch_count: int) -> None:
        self.counts.append((count, batch_count))


class Machine:
    """A processor some of whose cores are free."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
        self.free = cores
        monkeypatch.setattr("universal_gguf.threads.usable_cores", lambda: cores)
        monkeypatch.setattr("universal_gguf.threads.free_cores", lambda: self.free)


def test_a_busy_machine_gets_fewer_threads_and_a_free_one_all_again(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, told = Machine(monkeypatch, 8), Told()
    threads = Threads(None, None)
    assert threads.count == 8
    machine.free = 4
    threads.adapt(told)
    machine.free = 8
    threads.adapt(told)
    assert told.counts == [(4, 4), (8, 8)]


def test_nothing_is_told_where_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch, 4)
    threads, told = Threads(None, None), Told()
    for _ in range(5):
        threads.adapt(told)
    assert told.counts == []


def test_a_number_that_was_asked_for_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, told = Machine(monkeypatch, 8), Told()
    threads = Threads(3, 5)
    threads.apply(told)
    machine.free = 1
    threads.adapt(told)
    assert told.counts == [(3, 5)]


def test_threads_for_prompts_are_a_number_of_their_own_as_far_as_there_are_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine, told = Machine(monkeypatch, 8), Told()
    threads = Threads(None, 6)
    threads.apply(told)
    machine.free = 4
    threads.adapt(told)
    assert told.counts == [(8, 6), (4, 4)]


def test_the_cores_of_this_machine_are_the_most() -> None:
    assert Threads(None, None).most == usable_cores() >= 1
