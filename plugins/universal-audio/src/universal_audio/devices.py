"""Where a model runs: device and threads."""

import torch

from universal_core import choose_device, usable_cores


def pick_device(name: str) -> torch.device:
    """Return the device called ``name``, or for ``auto`` the fastest there is: cuda, mps, cpu.

    Raises LoadFailed for a device that this machine does not have.
    """
    cuda, mps = torch.cuda.device_count(), torch.backends.mps.is_available()
    return torch.device(choose_device(name, library="PyTorch", cuda=cuda, mps=mps))


def use_threads(count: int | None) -> None:
    """Let PyTorch compute with ``count`` threads, for None with one per core that this process may use.

    Call it in the thread that computes: OpenMP keeps the number for each thread.
    """
    torch.set_num_threads(count or max(1, min(torch.get_num_threads(), usable_cores())))
