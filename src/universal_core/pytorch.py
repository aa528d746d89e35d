"""What backends over PyTorch have in common: device, dtype and threads; only the modules of models import this."""

from functools import cache
from typing import Any

import torch

from universal_core.cores import free_cores
from universal_core.hardware import choose_device, has_bfloat16

# PyTorch's own default, before anybody sets another number: it counts physical cores and heeds OMP_NUM_THREADS.
_USUAL_THREADS = max(1, torch.get_num_threads())
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(name: str) -> torch.device:
    """Return the device called ``name``, or for ``auto`` the fastest there is: cuda, mps, cpu.

    Raises LoadFailed for a device that this machine does not have.
    """
    return torch.device(choose_device(name, library="PyTorch", cuda=_cuda_devices(), mps=_has_mps()))


def pick_dtype(name: str, device: torch.device, config_dtype: torch.dtype | None) -> torch.dtype:
    """Return the dtype called ``name``, or for ``auto`` the nearest to the model's own that is native to ``device``.

    ``config_dtype`` is what the model was saved in, None where it does not say. A 16-bit model becomes bfloat16
    where the device computes with it, else float16 on a GPU and float32 on a CPU, which would emulate both slowly.
    """
    if name != "auto":
        return _DTYPES[name]
    if config_dtype not in (torch.bfloat16, torch.float16):
        return torch.float32
    if device.type == "cpu":
        return torch.bfloat16 if has_native_bfloat16(device) else torch.float32
    if config_dtype == torch.bfloat16 and not has_native_bfloat16(device):
        return torch.float16
    return config_dtype


def has_native_bfloat16(device: torch.device) -> bool:
    """Say whether the device multiplies bfloat16 in hardware rather than by way of float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "mps":
        return bool(torch.backends.mps.is_macos_or_newer(14, 0))
    return _cpu_has_bfloat16()


def use_threads(count: int | None) -> int:
    """Let PyTorch compute with ``count`` threads in the calling thread; return how many.

    For None they follow the cores that there are for this process, see ``free_cores``, so call this before every step
    or batch and in the thread that computes: PyTorch keeps the number for each thread. Where nothing has changed it
    takes less than a microsecond.
    """
    threads = count or min(_USUAL_THREADS, free_cores())
    if threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    return threads


def taken_memory(device: torch.device) -> int:
    """Return the bytes that this process has taken on an accelerator, 0 on a processor."""
    if device.type == "mps":
        return int(torch.mps.driver_allocated_memory())
    return int(torch.cuda.memory_reserved(device)) if device.type == "cuda" else 0


def _cuda_devices() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


@cache
def _cpu_has_bfloat16() -> bool:
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if capabilities:
        return any(bool(there) for name, there in capabilities.items() if name.endswith("bf16"))
    return has_bfloat16()
