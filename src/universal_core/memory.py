"""How much memory this machine, container or accelerator has, and how much of it is free."""

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import msgspec
import psutil

from universal_core.sizes import readable as readable

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


def accelerators() -> tuple[Device, ...]:
    """Return the NVIDIA devices of this machine by number, none where there is no driver.

    Asks the driver, not a machine-learning library, so that no CUDA context is made in this process.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        return tuple(_accelerator(pynvml, index, handle) for index, handle in enumerate(_visible(pynvml)))
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def _visible(pynvml: Any) -> list[Any]:
    """Return the driver's handles of the devices that CUDA shows to workers, in the order in which it numbers them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    handles = []
    for part in map(str.strip, chosen.split(",")):
        if part.isdecimal():
            handles.append(pynvml.nvmlDeviceGetHandleByIndex(int(part)))
        elif part.startswith("GPU-"):
            handles.append(pynvml.nvmlDeviceGetHandleByUUID(part))
        else:
            break  # As CUDA does: what follows a number that is none is hidden.
    return handles


def _accelerator(pynvml: Any, index: int, handle: Any) -> Device:
    memory, name = pynvml.nvmlDeviceGetMemoryInfo(handle), pynvml.nvmlDeviceGetName(handle)
    return Device(f"cuda:{index}", name if isinstance(name, str) else name.decode(), memory.total, memory.free)


def devices(name: str) -> tuple[Device, ...]:
    """Return what ``auto``, ``cuda``, ``cuda:N``, ``mps`` or ``cpu`` leaves to choose from, never nothing.

    What is no NVIDIA device has the machine's own memory: a processor, and Apple's GPUs.
    """
    found = accelerators() if re.fullmatch(r"auto|cuda(:\d+)?", name) else ()
    return tuple(one for one in found if name in ("auto", "cuda", one.type)) or (system(),)


def accelerator(name: str) -> Device | None:
    """Return the NVIDIA device that ``auto``, ``cuda`` or ``cuda:N`` stands for, None where there is none."""
    found = device(name)
    return found if found.type.startswith("cuda") else None


def device(name: str) -> Device:
    """Return the device that models run on where ``name`` is configured: of several, the first."""
    return devices(name)[0]


def available_memory(name: str = "auto") -> int:
    """Return the bytes that are free where models run on ``name``: on that accelerator, else in RAM."""
    return device(name).free


def total_memory(name: str = "auto") -> int:
    """Return the bytes that there are where models run on ``name``, in use or not."""
    return device(name).total


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
