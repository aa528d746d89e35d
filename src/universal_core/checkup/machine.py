"""What the machine has: memory, accelerators, and room to write in."""

import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec
import psutil

from universal_core.checkup.findings import Finding, ok, problem, warning
from universal_core.config import Config, cache_folder
from universal_core.memory import Device, accelerator, readable, system

LITTLE_MEMORY = 1_000_000_000
LITTLE_ROOM = 10_000_000_000
NO_ROOM = 1_000_000_000
_PCI = Path("/sys/bus/pci/devices")
_NVIDIA = "0x10de"
_DISPLAYS = ("0x0300", "0x0302")


class Driver(msgspec.Struct, frozen=True):
    """NVIDIA's driver: its version, the newest CUDA that it runs, and the device that models get by default."""

    version: str
    cuda: tuple[int, int]
    device: Device


def find_driver() -> Driver | None:
    """Return NVIDIA's driver, None where it does not answer or has no device."""
    import pynvml

    device = accelerator("cuda")
    if device is None:
        return None
    try:
        pynvml.nvmlInit()
        version, cuda = pynvml.nvmlSystemGetDriverVersion(), pynvml.nvmlSystemGetCudaDriverVersion_v2()
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return None
    return Driver(version if isinstance(version, str) else version.decode(), (cuda // 1000, cuda % 1000 // 10), device)


def check_device(config: Config, driver: Driver | None) -> Finding:
    """Tell what models run on by default."""
    wanted = config.workers.device
    if driver is not None:
        text = f"{driver.device.name}, {readable(driver.device.free)} of {readable(driver.device.total)} free"
        return ok("device", f"{text}; driver {driver.version}, CUDA {driver.cuda[0]}.{driver.cuda[1]}")
    if has_nvidia_card() or wanted.startswith("cuda"):
        found = "an NVIDIA card is here, but" if has_nvidia_card() else f"workers.device is {wanted!r}, but"
        return (problem if wanted.startswith("cuda") else warning)(
            "device",
            f"{found} its driver does not answer",
            "nvidia-smi  # must list the card: install NVIDIA's driver, or start the container with --gpus all",
        )
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return ok("device", "Apple GPU (mps), which shares the machine's memory")
    if wanted == "mps":
        return problem("device", "workers.device is 'mps', but this is no Mac with an Apple GPU", "--device auto")
    return ok("device", f"the processor: {system().name}")


def has_nvidia_card(folder: Path = _PCI) -> bool:
    """Whether a graphics card of NVIDIA is in the machine, whatever its driver says."""
    for device in folder.glob("*"):
        try:
            vendor, kind = (device / "vendor").read_text().strip(), (device / "class").read_text().strip()
        except OSError:
            continue
        if vendor == _NVIDIA and kind.startswith(_DISPLAYS):
            return True
    return False


def check_memory(config: Config) -> Finding:
    """Tell how much memory models can have, a container's limit included."""
    here, machine = system(), psutil.virtual_memory().total
    found = f"{readable(here.free)} of {readable(here.total)} free"
    if here.total < machine:
        found += f" (this container's limit; the machine has {readable(machine)})"
    limit = config.pool.memory_limit
    if limit is not None and limit > here.total:
        return warning(
            "memory",
            f"{found}; pool.memory_limit is {readable(limit)}, which is more",
            "universal config",
        )
    if here.free < LITTLE_MEMORY:
        return warning("memory", found, "universal ps  # what models take; `universal unload MODEL` gives it back")
    return ok("memory", found)


def check_disk() -> Finding:
    """Tell the free space where models are downloaded to, and what is there already."""
    folder = cache_folder()
    free, used = shutil.disk_usage(existing(folder)).free, cache_size(folder)
    found = f"{readable(free)} free; {readable(used)} of models in {folder}"
    if free >= LITTLE_ROOM:
        return ok("disk", found)
    return (problem if free < NO_ROOM else warning)("disk", found, "universal list && universal rm MODEL")


def cache_size(folder: Path) -> int:
    """Return the bytes of all files that the cache holds, each once."""
    return sum(blob.lstat().st_size for blob in folder.glob("*/blobs/*"))


def check_places(config: Config) -> list[Finding]:
    """Tell whether what the server writes can be written: models, pictures, conversations."""
    cache = cache_folder()
    places = [("cache", cache, f'sudo chown -R "$USER" {cache}  # or set hub.cache to another folder')]
    outputs = Path(config.images.outputs).expanduser()
    places.append(("pictures", outputs, "set images.outputs to a folder that can be written"))
    if config.responses.store:
        kept = Path(config.responses.path).expanduser()
        places.append(("conversations", kept.parent, "set responses.path to a file that can be written"))
    return [_check_place(name, folder, advice) for name, folder, advice in places]


def _check_place(name: str, folder: Path, advice: str) -> Finding:
    place = existing(folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            return ok(name, f"{folder} can be written" + ("" if place == folder else "; it is made when needed"))
    except OSError as error:
        return problem(name, f"{folder} cannot be written: {error.strerror}", advice)


def existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    # Unlike Path.exists, this says of what is below a locked folder that it is not there.
    return next(place for place in (path, *path.absolute().parents) if os.path.exists(place))  # noqa: PTH110
