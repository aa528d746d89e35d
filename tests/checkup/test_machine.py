"""What a checkup says of the machine: the interpreter, memory, accelerators, and room to write in."""

import os
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from universal_core import memory
from universal_core.checkup import machine
from universal_core.checkup.interpreter import check_clock, check_python
from universal_core.checkup.machine import (
    Driver,
    check_device,
    check_disk,
    check_memory,
    check_places,
    has_nvidia_card,
)
from universal_core.config import Config, ImagesConfig, PoolConfig, ResponsesConfig, WorkersConfig
from universal_core.memory import Device

Usage = namedtuple("Usage", "total used free")


def test_this_python_can_run_it() -> None:
    assert check_python().state in ("ok", "warning")
    assert sys.version.split()[0] in check_python().found


def test_another_python_is_a_problem_with_the_versions_that_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.9.1")
    found = check_python()
    assert found.state == "problem"
    assert "3.9.1" in found.found
    assert ">=3.11" in found.found
    assert "venv" in (found.advice or "")


def test_a_python_of_the_system_is_told_with_how_to_make_an_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert check_python().state == "ok"
    (tmp_path / "EXTERNALLY-MANAGED").write_text("")
    assert (check_python().state, "-m venv" in (check_python().advice or "")) == ("warning", True)


@pytest.mark.parametrize(("difference", "state"), [(0, "ok"), (-200, "ok"), (3600, "warning"), (-3600, "warning")])
def test_a_clock_far_from_the_hubs_is_told(difference: float, state: str) -> None:
    assert check_clock(time.time() + difference).state == state


def test_a_clock_from_before_the_installation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_clock(None).state == "ok"
    monkeypatch.setattr("time.time", lambda: 1000.0)
    assert check_clock(None).state == "warning"


def test_an_accelerator_is_told_with_its_driver() -> None:
    driver = Driver("580.1", (13, 0), Device("cuda:0", "NVIDIA H100", 80_000_000_000, 70_000_000_000))
    found = check_device(Config(), driver)
    assert (found.state, found.found) == ("ok", "NVIDIA H100, 70.0 GB of 80.0 GB free; driver 580.1, CUDA 13.0")


def test_a_processor_is_enough_where_nothing_else_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_nvidia_card", lambda: False)
    assert check_device(Config(), None).state == "ok"


def test_a_device_that_was_asked_for_and_is_not_there_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_nvidia_card", lambda: False)
    found = check_device(Config(workers=WorkersConfig(device="cuda:1")), None)
    assert (found.state, "workers.device is 'cuda:1'" in found.found) == ("problem", True)


def test_a_card_whose_driver_is_silent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_nvidia_card", lambda: True)
    found = check_device(Config(), None)
    assert (found.state, "nvidia-smi" in (found.advice or "")) == ("warning", True)


@pytest.mark.parametrize(
    ("vendor", "kind", "expected"),
    [("0x10de", "0x030200", True), ("0x10de", "0x040300", False), ("0x1af4", "0x030000", False)],
)
def test_a_card_is_known_by_its_maker_and_kind(tmp_path: Path, vendor: str, kind: str, expected: bool) -> None:
    device = tmp_path / "0000:01:00.0"
    device.mkdir()
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")
    (tmp_path / "0000:02:00.0").mkdir()
    assert has_nvidia_card(tmp_path) is expected


def test_memory_is_told_with_a_containers_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("2000000000\n")
    (tmp_path / "memory.current").write_text("500000000\n")
    (tmp_path / "memory.stat").write_text("anon 5\n")
    found = check_memory(Config())
    assert found.state == "ok"
    assert found.found.startswith("1.5 GB of 2.0 GB free (this container's limit; the machine has ")
    (tmp_path / "memory.current").write_text("1900000000\n")
    assert check_memory(Config()).state == "warning"


def test_a_limit_above_what_the_machine_has_is_told() -> None:
    found = check_memory(Config(pool=PoolConfig(memory_limit=1 << 60)))
    assert (found.state, "pool.memory_limit" in found.found) == ("warning", True)


@pytest.mark.parametrize(("free", "state"), [(50 * 10**9, "ok"), (5 * 10**9, "warning"), (10**8, "problem")])
def test_room_for_models_is_told_with_what_they_take(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, state: str
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(10**12, 0, free))
    blobs = tmp_path / "models--org--m" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "a").write_bytes(b"x" * 1500)
    found = check_disk()
    assert found.state == state
    assert f"1.5 KB of models in {tmp_path}" in found.found


def test_places_that_can_be_written_are_left_as_they_were(tmp_path: Path) -> None:
    config = Config(images=ImagesConfig(outputs=str(tmp_path / "a" / "b")), responses=ResponsesConfig(store=False))
    before = sorted(tmp_path.rglob("*"))
    cache, pictures = check_places(config)
    assert (cache.name, cache.state) == ("cache", "ok")
    assert (pictures.name, pictures.state) == ("pictures", "ok")
    assert pictures.found.endswith("it is made when needed")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_place_that_cannot_be_written_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        # Nothing is forbidden to root but what the kernel itself refuses.
        locked = Path("/proc/1/fdinfo")
    else:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
    monkeypatch.setenv("HF_HUB_CACHE", str(locked / "hub"))
    found = check_places(Config())[0]
    assert (found.name, found.state) == ("cache", "problem")
    assert f"{locked / 'hub'} cannot be written" in found.found
    assert "hub.cache" in (found.advice or "")
