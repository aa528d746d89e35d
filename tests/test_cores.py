"""How many cores there are for a process: its share among those that are busy, and what others leave."""

import os

import pytest

from universal_core import cores, free_cores, usable_cores
from universal_core.cores import Cores, affordable

Look = tuple[float, float, float]


class Machine:
    """A clock, and a processor that this process had a share of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.count = count
        self.now = self.had = self.idle = 0.0
        monkeypatch.setattr(cores, "usable_cores", lambda: count)
        monkeypatch.setattr(Cores, "_look", lambda _: (self.now, self.had, self.idle))

    def cores(self) -> Cores:
        """Open an account."""
        return Cores(clock=lambda: self.now)

    def pass_by(self, seconds: float, *, had: float, others: float) -> None:
        """Let time pass in which this process had so many cores, and others so many."""
        self.now += seconds
        self.had += seconds * had
        self.idle += seconds * max(0.0, self.count - had - others)


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
def test_there_are_cores_where_some_were_used_and_where_some_were_idle(
    had: float, idle: float, most: int, expected: int
) -> None:
    assert affordable((10.0, 5.0, 7.0), (12.0, 5.0 + 2 * had, 7.0 + 2 * idle), most) == expected


def test_no_time_at_all_is_no_error() -> None:
    assert affordable((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), 4) == 1


def test_a_busy_machine_leaves_fewer_cores_and_a_free_one_all_again(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 8)
    here = machine.cores()
    assert here.free() == 8
    machine.pass_by(1, had=4, others=4)
    assert here.free() == 4
    machine.pass_by(1, had=4, others=0)
    assert here.free() == 8


def test_it_looks_a_few_times_a_second_only(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 8)
    here = machine.cores()
    found = []
    for _ in range(10):
        machine.pass_by(0.02, had=1, others=7)
        found.append(here.free())
    assert found == [8] * 10
    machine.pass_by(0.1, had=1, others=7)
    assert here.free() == 1


@pytest.mark.parametrize(
    ("count", "models", "share"), [(8, 1, 8), (8, 2, 4), (8, 3, 2), (8, 8, 1), (8, 9, 1), (2, 2, 1), (1, 2, 1)]
)
def test_models_that_are_busy_share_the_cores_and_each_has_one(
    monkeypatch: pytest.MonkeyPatch, count: int, models: int, share: int
) -> None:
    here = Machine(monkeypatch, count).cores()
    here.divide(models)
    assert here.free() == share
    here.divide(1)
    assert here.free() == count


def test_a_share_is_known_at_once_and_what_others_leave_can_be_less(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 8)
    here = machine.cores()
    here.divide(2)
    assert here.free() == 4
    machine.pass_by(1, had=2, others=6)
    assert here.free() == 2
    here.divide(4)
    machine.pass_by(1, had=2, others=0)
    assert here.free() == 2


def test_what_is_shared_is_what_a_container_leaves_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    # A quota counts for the account as it does for whoever asks for the cores themselves.
    monkeypatch.setattr("universal_core.hardware._siblings", str)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    monkeypatch.setattr("universal_core.hardware._quota", lambda: 6)
    here = Cores()
    here.divide(2)
    assert (here.most, here.free()) == (6, 3)


def test_the_real_look_finds_this_machine() -> None:
    here = Cores()
    assert here.most == usable_cores() >= free_cores() >= 1
    before, after = here._look(), here._look()
    assert all(later >= earlier for earlier, later in zip(before, after, strict=True))
