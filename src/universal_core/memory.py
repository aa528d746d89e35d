"""How much memory this machine, container or accelerator has, and how much of it is free."""

import contextlib
import re
from pathlib import Path

import msgspec
import psutil

_CGROUP = Path("/sys/fs/cgroup")


class Device(msgspec.Struct, frozen=True):
    """What models run on by default: its type, name, and its memory in bytes."""

    type: str
    name: str
    total: int
    free: int


def system() -> Device:
    """Return the processor and the memory that this process may use, a container's limit included."""
    memory = psutil.virtual_memory()
    total, free = int(memory.total), int(memory.available)
    limit, used = _cgroup()
    if limit is not None and limit < total:
        total, free = limit, min(free, limit - used)
    return Device("cpu", _processor(), total, max(free, 0))


def accelerator(name: str) -> Device | None:
    """Return the NVIDIA device that ``auto``, ``cuda`` or ``cuda:N`` stands for, None where there is none.

    Asks the driver, not a machine-learning library, so that no CUDA context is made in this process.
    """
    if name not in ("auto", "cuda") and not re.fullmatch(r"cuda:\d+", name):
        return None
    import pynvml

    index = int(name.partition(":")[2] or 0)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        model = pynvml.nvmlDeviceGetName(handle)
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()
    return Device(f"cuda:{index}", model if isinstance(model, str) else model.decode(), memory.total, memory.free)


def device(name: str) -> Device:
    """Return the device that models run on where ``name`` is configured."""
    return accelerator(name) or system()


def available_memory(name: str = "auto") -> int:
    """Return the bytes that are free where models run on ``name``: on that accelerator, else in RAM."""
    return device(name).free


def _cgroup() -> tuple[int | None, int]:
    """Return the limit and the use of this container, as cgroup v2 tells them."""
    with contextlib.suppress(OSError, ValueError):
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        cached = re.search(r"^inactive_file (\d+)", (_CGROUP / "memory.stat").read_text(), re.MULTILINE)
        # Cached file pages count as used there, and are given up as soon as somebody needs the memory.
        return limit, used - (int(cached[1]) if cached else 0)
    return None, 0


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "cpu"


def readable(count: float) -> str:
    """Return bytes as people read them: ``2.3 GB``."""
    for unit in ("B", "KB", "MB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
