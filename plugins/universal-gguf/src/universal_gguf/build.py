"""What this build of llama.cpp can do, told from the files of its package: importing it would load its libraries."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

_ACCELERATORS = ("cuda", "hip", "vulkan", "sycl", "musa", "cann", "opencl", "metal")


@cache
def accelerators() -> tuple[str, ...]:
    """Return the accelerators that llama.cpp was built for: cuda, hip, vulkan, metal, ..."""
    spec = find_spec("llama_cpp")
    folders = [Path(folder) / "lib" for folder in (spec.submodule_search_locations or ()) if folder] if spec else []
    names = [path.name.lower() for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return tuple(kind for kind in _ACCELERATORS if any(f"ggml-{kind}" in name for name in names))


def has_accelerator() -> bool:
    """Say whether llama.cpp was built for anything but the processor."""
    return bool(accelerators())
