"""What llama.cpp can compute on, asked of the library itself: in a worker, or for a report on this machine."""

import ctypes
from ctypes import c_char_p, c_int, c_size_t, c_void_p
from typing import Any

import llama_cpp
import msgspec
from llama_cpp._ggml import libggml

_TYPES = ("cpu", "gpu", "integrated gpu", "accelerator", "several")
_INSTALL = 'CMAKE_ARGS="-DGGML_{}=on" pip install --force-reinstall --no-cache-dir --no-deps llama-cpp-python=={}'

INSTALL = {
    kind: _INSTALL.format(flag, llama_cpp.__version__)
    for kind, flag in {"cuda": "CUDA", "metal": "METAL", "vulkan": "VULKAN", "rocm": "HIP"}.items()
}
"""The lines that build this version of llama.cpp for a kind of graphics card."""


class Device(msgspec.Struct, frozen=True):
    """One of the devices that llama.cpp found; memory in bytes."""

    name: str
    description: str
    type: str
    free: int
    total: int

    @property
    def is_gpu(self) -> bool:
        """Whether layers can be offloaded to it."""
        return "gpu" in self.type


class Build(msgspec.Struct, frozen=True):
    """The facts about llama.cpp here: its version and own summary, the devices it sees, whether it can offload."""

    version: str
    summary: str
    devices: tuple[Device, ...]
    offloads: bool


def describe() -> Build:
    """Return what llama.cpp was built for, and what it finds on this machine."""
    llama_cpp.llama_backend_init()
    return Build(
        version=llama_cpp.__version__,
        summary=llama_cpp.llama_print_system_info().decode(errors="replace"),
        devices=devices(),
        offloads=bool(llama_cpp.llama_supports_gpu_offload()),
    )


def devices() -> tuple[Device, ...]:
    """Return every device of this build, the processor included."""
    count = _function("ggml_backend_dev_count", c_size_t)()
    get = _function("ggml_backend_dev_get", c_void_p, c_size_t)
    return tuple(_device(get(index)) for index in range(count))


def _device(pointer: int) -> Device:
    free, total = c_size_t(), c_size_t()
    sizes = (c_void_p, ctypes.POINTER(c_size_t), ctypes.POINTER(c_size_t))
    _function("ggml_backend_dev_memory", None, *sizes)(pointer, ctypes.byref(free), ctypes.byref(total))
    return Device(
        name=_function("ggml_backend_dev_name", c_char_p, c_void_p)(pointer).decode(),
        description=_function("ggml_backend_dev_description", c_char_p, c_void_p)(pointer).decode(),
        type=_TYPES[_function("ggml_backend_dev_type", c_int, c_void_p)(pointer)],
        free=free.value,
        total=total.value,
    )


def _function(name: str, result: Any, *arguments: Any) -> Any:
    """Return a function of ggml, which llama-cpp-python loads but does not declare."""
    function = getattr(libggml, name)
    function.restype, function.argtypes = result, arguments
    return function
