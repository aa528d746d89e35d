"""What a model computes on: which device a name stands for, and how many processor cores there are."""

import os
from pathlib import Path

from universal_core.errors import LoadFailed

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_TOPOLOGY = Path("/sys/devices/system/cpu")
_FEATURES = Path("/proc/cpuinfo")


def choose_device(name: str, *, library: str, cuda: int, mps: bool = False) -> str:
    """Return the device called ``name``, or for ``auto`` the fastest there is: cuda, mps, cpu.

    ``library`` is what computes; it sees ``cuda`` NVIDIA devices, and an Apple GPU or not. Raises LoadFailed for a
    device that it does not see.
    """
    kind, _, number = name.partition(":")
    if kind == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    if kind == "cuda" and int(number or 0) >= cuda:
        raise LoadFailed(f"device {name!r} is not on this machine: {library} sees {cuda} CUDA devices")
    if kind == "mps" and not mps:
        raise LoadFailed(f"device 'mps' is not on this machine: {library} sees no Apple GPU it could run on")
    return name


def usable_cores() -> int:
    """Return how many physical cores this process may use, by its affinity and by its container's quota.

    Two hardware threads of one core count once: arithmetic keeps a core busy by itself.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    physical = len({_siblings(cpu) for cpu in allowed})
    return max(1, min(physical, _quota() or physical))


def _siblings(cpu: int) -> str:
    """Return what all hardware threads of a core have in common, or just the number where nothing is known."""
    try:
        return (_TOPOLOGY / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _quota() -> int | None:
    try:
        quota, period = _QUOTA.read_text().split()[:2]
    except (OSError, ValueError):
        return None
    return None if quota == "max" else max(1, round(int(quota) / int(period)))


def has_bfloat16() -> bool:
    """Say whether the processor multiplies bfloat16 by itself, as far as the system tells of its features."""
    try:
        features = _FEATURES.read_text().split()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(features)
