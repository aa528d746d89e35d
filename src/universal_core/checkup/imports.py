"""What shows only when a library is imported: in a process of its own, for some take many seconds and some crash."""

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator

from universal_core.checkup.findings import Finding, ok, problem
from universal_core.checkup.machine import Driver
from universal_core.models import Backend

PATIENCE = 120.0
_SEES_CUDA = "import torch; print(torch.zeros(1, device='cuda').device)"


def check_imports(backends: Iterable[Backend]) -> Iterator[Finding]:
    """Tell of every backend whether the libraries that its workers import can be imported, and how long it takes."""
    for backend in backends:
        if backend.preload:
            began = time.monotonic()
            trouble = _run(f"import {', '.join(backend.preload)}")
            took = f"{time.monotonic() - began:.1f} s"
            names = ", ".join(dict.fromkeys(module.partition(".")[0] for module in backend.preload))
            yield (
                problem(f"backend {backend.name}", f"importing {names}: {trouble}", "pip check  # names what is amiss")
                if trouble
                else ok(f"backend {backend.name}", f"imports {names} in {took}")
            )


def check_cuda(driver: Driver | None) -> Iterator[Finding]:
    """Tell whether PyTorch can compute on the accelerator that the driver tells of."""
    if driver is not None:
        trouble = _run(_SEES_CUDA)
        yield (
            problem("CUDA", f"PyTorch cannot use {driver.device.name}: {trouble}", "nvidia-smi")
            if trouble
            else ok("CUDA", f"PyTorch computes on {driver.device.name}")
        )


def _run(program: str) -> str | None:
    """Run a program of Python; return the last line of what it had to complain about where it failed."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not done within {PATIENCE:.0f} s"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines and done.returncode > 0 else f"the process ended with status {done.returncode}"
