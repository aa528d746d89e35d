"""Results on disk: what was measured, every sample, and on which machine with which packages."""

import json
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import msgspec
import psutil

from bench.comparison import Found
from bench.setting import Setting


class Machine(msgspec.Struct, frozen=True):
    """What the figures were measured on; memory in GiB."""

    processor: str
    cores: int
    memory: float
    system: str
    python: str
    accelerator: str | None = None


class Conditions(msgspec.Struct, frozen=True):
    """What a measurement was told."""

    rounds: int
    threads: int
    device: str
    quick: bool
    changes: dict[str, str]
    dtype: str


class Measured(msgspec.Struct, frozen=True):
    """One measurement: what it was told, what it found, and the seconds it took."""

    conditions: Conditions
    found: Found
    seconds: float


class Results(msgspec.Struct, frozen=True):
    """One file: what was measured on a machine with these versions of packages, of the peers too."""

    machine: Machine
    packages: dict[str, str]
    peers: dict[str, dict[str, str]]
    measurements: dict[str, Measured]


def read(path: Path) -> Results:
    """Return the results in a file."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def write(path: Path, results: Results) -> None:
    """Write results; measurements of the same machine and packages that stand in the file are kept."""
    if path.exists():
        before = read(path)
        if (before.machine, before.packages, before.peers) == (results.machine, results.packages, results.peers):
            kept = {**before.measurements, **results.measurements}
            results = msgspec.structs.replace(results, measurements=kept)
        else:
            print(f"{path} was of another machine or other packages, and is written anew")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(msgspec.to_builtins(results), indent=1) + "\n")


def conditions(setting: Setting) -> Conditions:
    """Return what a file says of a setting."""
    return Conditions(
        setting.rounds, setting.threads, setting.device, setting.quick, dict(setting.changes), _dtype(setting.device)
    )


def machine(device: str) -> Machine:
    """Describe this machine."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(
        processor=_processor(),
        cores=allowed,
        memory=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        accelerator=None if device == "cpu" else _accelerator(),
    )


@cache
def packages() -> dict[str, str]:
    """Return the versions of everything that is installed."""
    return dict(sorted({each.name.lower(): each.version for each in distributions()}.items()))


@cache
def packages_of(python: Path) -> dict[str, str]:
    """Return the versions of everything that is installed beside another interpreter."""
    asked = subprocess.run([python, "-m", "pip", "list", "--format", "json"], check=True, capture_output=True)
    listed: list[dict[str, Any]] = json.loads(asked.stdout)
    return dict(sorted((each["name"].lower(), each["version"]) for each in listed))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def _accelerator() -> str:
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else "none"


def _dtype(device: str) -> str:
    """Return the number format that the server chooses by itself."""
    import torch

    from universal_core.pytorch import pick_dtype

    return str(pick_dtype("auto", torch.device(device), torch.bfloat16)).removeprefix("torch.")
