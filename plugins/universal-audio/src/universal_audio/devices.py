"""Where a model runs: device and threads."""

import os

import torch

from universal_core import LoadFailed


def pick_device(name: str) -> torch.device:
    """Return the device called ``name``, or for ``auto`` the fastest there is: cuda, mps, cpu.

    Raises LoadFailed for a device that this machine does not have.
    """
    has_mps, cuda_devices = torch.backends.mps.is_available(), torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda" if cuda_devices else "mps" if has_mps else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= cuda_devices:
        raise LoadFailed(f"device {name!r} is not on this machine: PyTorch sees {cuda_devices} CUDA devices")
    if device.type == "mps" and not has_mps:
        raise LoadFailed("device 'mps' is not on this machine: PyTorch sees no Apple GPU")
    return device


def use_threads(count: int | None) -> None:
    """Let PyTorch compute with ``count`` threads, for None with one per core that this process may use.

    Call it in the thread that computes: OpenMP keeps the number for each thread.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(count or max(1, min(torch.get_num_threads(), cores)))
