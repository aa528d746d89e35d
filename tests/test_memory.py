"""Memory: what the machine has, and how sizes are written."""

import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from universal_core import memory
from universal_core.memory import Device, accelerator, accelerators, available_memory, device, devices, readable, system


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (1_500_000, "1.5 MB"),
        (2_300_000_000, "2.3 GB"),
        (4_200_000_000_000, "4200.0 GB"),
    ],
)
def test_sizes_are_written_as_people_read_them(count: int, text: str) -> None:
    assert readable(count) == text


def test_the_system_has_no_more_memory_than_the_machine_and_no_more_free_than_it_has() -> None:
    found = system()
    assert 0 < found.total <= psutil.virtual_memory().total
    assert 0 <= found.free <= found.total
    assert found.type == "cpu"
    assert found.name


def limited(folder: Path, limit: str, used: int, cached: int) -> Path:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\nactive_file 9\n")
    return folder


def test_a_containers_limit_counts_and_its_cached_files_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_CGROUP", limited(tmp_path, "50000000", 30_000_000, 10_000_000))
    found = system()
    assert (found.total, found.free) == (50_000_000, 30_000_000)


@pytest.mark.parametrize("limit", ["max", str(1 << 60)])
def test_a_container_without_a_limit_has_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(memory, "_CGROUP", limited(tmp_path, limit, 30_000_000, 0))
    assert system().total == psutil.virtual_memory().total


def test_a_container_over_its_limit_has_nothing_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_CGROUP", limited(tmp_path, "1000", 5000, 0))
    assert system().free == 0


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    import pynvml

    def refuse() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", refuse)


@pytest.mark.usefixtures("no_driver")
@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "mps"])
def test_what_is_available_without_an_accelerator_is_what_the_system_has_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(memory, "_CGROUP", limited(tmp_path, "50000000", 30_000_000, 10_000_000))
    assert available_memory(name) == 30_000_000


@pytest.mark.usefixtures("no_driver")
@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0", "cuda:7"])
def test_without_an_nvidia_driver_there_is_no_accelerator_and_models_run_on_the_processor(name: str) -> None:
    assert accelerator(name) is None
    assert device(name).type == "cpu"


@pytest.mark.parametrize("name", ["cpu", "mps", "cuda:x", ""])
def test_other_devices_are_no_accelerator_of_nvidia(name: str) -> None:
    assert accelerator(name) is None


@pytest.fixture
def three_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a driver of three cards, of which each has as many GiB free as its number says."""
    driver = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 3,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetHandleByUUID": lambda name: int(name[-1]),
        "nvmlDeviceGetName": lambda handle: f"Card {handle}",
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=80 << 30, free=handle << 30),
        "NVMLError": RuntimeError,
    }
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(**driver))  # type: ignore[arg-type]


@pytest.mark.usefixtures("three_cards")
@pytest.mark.parametrize(("name", "index"), [("auto", 0), ("cuda", 0), ("cuda:1", 1)])
def test_an_accelerator_is_described_by_its_driver(name: str, index: int) -> None:
    assert device(name) == Device(f"cuda:{index}", f"Card {index}", 80 << 30, index << 30)
    assert available_memory(name) == index << 30


@pytest.mark.usefixtures("three_cards")
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("auto", ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda", ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda:2", ["cuda:2"]),
        ("cuda:3", ["cpu"]),
        ("cpu", ["cpu"]),
        ("mps", ["cpu"]),
    ],
)
def test_a_name_leaves_all_devices_of_its_kind_to_choose_from(name: str, found: list[str]) -> None:
    assert [one.type for one in devices(name)] == found


@pytest.mark.usefixtures("three_cards")
@pytest.mark.parametrize(
    ("visible", "cards"),
    [("2,0", ["Card 2", "Card 0"]), ("GPU-abc1", ["Card 1"]), ("1,-1,2", ["Card 1"]), ("", []), ("-1", [])],
)
def test_cards_are_numbered_as_workers_see_them(
    monkeypatch: pytest.MonkeyPatch, visible: str, cards: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [(one.type, one.name) for one in accelerators()] == [
        (f"cuda:{number}", card) for number, card in enumerate(cards)
    ]
