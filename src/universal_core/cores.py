"""How many processor cores this process may compute on."""

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_TOPOLOGY = Path("/sys/devices/system/cpu")


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
