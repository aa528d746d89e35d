"""Which device a name stands for; how many cores may be used, by affinity, topology and quota."""

import os
from pathlib import Path

import pytest

from universal_core import LoadFailed, choose_device, hardware


def test_a_containers_quota_limits_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(hardware, "_QUOTA", quota)
    quota.write_text("100000 100000\n")
    assert hardware.usable_cores() == 1
    quota.write_text("max 100000\n")
    assert hardware.usable_cores() >= 1


def test_two_threads_of_a_core_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        (tmp_path / f"cpu{cpu}" / "topology").mkdir(parents=True)
        (tmp_path / f"cpu{cpu}" / "topology" / "thread_siblings_list").write_text(f"{siblings}\n")
    monkeypatch.setattr(hardware, "_TOPOLOGY", tmp_path)
    monkeypatch.setattr(hardware, "_QUOTA", tmp_path / "none")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    assert hardware.usable_cores() == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2}, raising=False)
    assert hardware.usable_cores() == 1


@pytest.mark.parametrize(
    ("name", "cuda", "mps", "expected"),
    [
        ("auto", 0, False, "cpu"),
        ("auto", 0, True, "mps"),
        ("auto", 2, True, "cuda"),
        ("cpu", 2, True, "cpu"),
        ("cuda:1", 2, False, "cuda:1"),
        ("mps", 0, True, "mps"),
    ],
)
def test_a_name_stands_for_a_device(name: str, cuda: int, mps: bool, expected: str) -> None:
    assert choose_device(name, library="PyTorch", cuda=cuda, mps=mps) == expected


@pytest.mark.parametrize(
    ("name", "words"), [("cuda", "sees 0 CUDA"), ("cuda:3", "sees 0 CUDA"), ("mps", "no Apple GPU")]
)
def test_a_device_that_is_not_there_is_refused(name: str, words: str) -> None:
    with pytest.raises(LoadFailed, match=words):
        choose_device(name, library="PyTorch", cuda=0)
