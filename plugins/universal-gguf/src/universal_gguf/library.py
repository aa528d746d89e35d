"""Loading weights and making contexts, through the C API of llama.cpp."""

import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import llama_cpp

from universal_core import LoadFailed, Progress
from universal_gguf import log, mapped
from universal_gguf.context import bytes_per_token
from universal_gguf.devices import devices
from universal_gguf.header import Header
from universal_gguf.options import GenerationOptions, PooledOptions
from universal_gguf.vocabulary import GgufVocabulary

Options = GenerationOptions | PooledOptions

ALL_LAYERS = 2**31 - 1
_SPLIT_MODES = {
    "none": llama_cpp.LLAMA_SPLIT_MODE_NONE,
    "layer": llama_cpp.LLAMA_SPLIT_MODE_LAYER,
    "row": llama_cpp.LLAMA_SPLIT_MODE_ROW,
}
_FLASH = {
    "auto": llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}
_METADATA = 4096
_REPORTED_STEP = 0.01
_COMPUTING = 2**30


@dataclass(frozen=True, slots=True)
class Adapter:
    """A loaded adapter, which is freed with the weights, and how strongly it acts."""

    pointer: Any
    scale: float


class Weights:
    """A model's weights in memory, once, however many contexts run over them."""

    def __init__(
        self, files: Sequence[str], options: Options, gpu_layers: int, report: Callable[[Progress], None]
    ) -> None:
        """Load the files of a model, in order. Raises LoadFailed with llama.cpp's own words."""
        log.route()
        # A failed assertion would have a debugger print every thread's stack before the process ends.
        os.environ.setdefault("GGML_NO_BACKTRACE", "1")
        llama_cpp.llama_backend_init()
        self._free = gpu_memory()
        self.pointer = _load(files, _model_parameters(options, gpu_layers), report)
        self.vocabulary = GgufVocabulary(self.pointer)
        self.adapters: dict[str, Adapter] = {}

    @cached_property
    def is_recurrent(self) -> bool:
        """Whether any layer keeps a state that cannot be cut back to an earlier token."""
        return bool(llama_cpp.llama_model_is_recurrent(self.pointer) or llama_cpp.llama_model_is_hybrid(self.pointer))

    @property
    def window(self) -> int:
        """How many tokens some layers look back over, 0 where all look back to the beginning."""
        return int(llama_cpp.llama_model_n_swa(self.pointer))

    def metadata(self, key: str) -> str | None:
        """Return a value of the file's metadata as text, None where there is none."""
        size = _METADATA
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = llama_cpp.llama_model_meta_val_str(self.pointer, key.encode(), buffer, size)
            if length < size:
                return buffer.value.decode(errors="replace") if length >= 0 else None
            size = length + 1

    def new_context(self, parameters: llama_cpp.llama_context_params) -> llama_cpp.llama_context_p:
        """Return a further context over these weights. Raises LoadFailed with llama.cpp's own words."""
        errors = log.collect_errors()
        context: llama_cpp.llama_context_p | None = llama_cpp.llama_init_from_model(self.pointer, parameters)
        if context is None:
            raise LoadFailed(
                f"llama.cpp could not make a context of {parameters.n_ctx} tokens: {_reason(errors)}; "
                "a smaller n_ctx or a smaller cache type may fit"
            )
        return context

    def add_adapter(self, name: str, file: str, scale: float) -> None:
        """Load an adapter; all must be there before the first context is made. Raises LoadFailed."""
        errors = log.collect_errors()
        pointer = llama_cpp.llama_adapter_lora_init(self.pointer, file.encode())
        if not pointer:
            raise LoadFailed(f"adapter {name}: it does not fit this model: {_reason(errors)}")
        self.adapters[name] = Adapter(pointer, scale)

    def device_memory(self) -> int:
        """Return how many bytes of accelerators went since the load began: what this model has there, by and large."""
        return max(0, self._free - gpu_memory())

    def close(self) -> None:
        """Free the weights; every context over them must be closed already."""
        llama_cpp.llama_model_free(self.pointer)


def context_parameters(options: Options) -> llama_cpp.llama_context_params:
    """Return what every kind of context has in common."""
    parameters: llama_cpp.llama_context_params = llama_cpp.llama_context_default_params()
    parameters.flash_attn_type = _FLASH[options.flash_attn]
    parameters.no_perf = True
    parameters.offload_kqv = parameters.op_offload = options.device != "cpu"
    return parameters


def on_processor(options: Options) -> bool:
    """Whether a model runs on the processor alone."""
    return options.device == "cpu" or not llama_cpp.llama_supports_gpu_offload()


def gpu_memory() -> int:
    """Return the free bytes of all accelerators together."""
    return sum(device.free for device in devices() if device.is_gpu)


def _model_parameters(options: Options, gpu_layers: int) -> llama_cpp.llama_model_params:
    parameters: llama_cpp.llama_model_params = llama_cpp.llama_model_default_params()
    parameters.n_gpu_layers = gpu_layers
    parameters.split_mode = _SPLIT_MODES[options.split_mode]
    parameters.main_gpu = options.main_gpu
    if ":" in options.device:  # cuda:1 and the like: all of the model on that card
        parameters.main_gpu = int(options.device.partition(":")[2])
        parameters.split_mode = llama_cpp.LLAMA_SPLIT_MODE_NONE
    if options.tensor_split:
        shares = [*options.tensor_split, *[0.0] * llama_cpp.llama_max_devices()]
        parameters.tensor_split = (ctypes.c_float * len(shares))(*shares)
    parameters.load_mode = (llama_cpp.LLAMA_LOAD_MODE_MMAP if options.use_mmap else llama_cpp.LLAMA_LOAD_MODE_NONE) + (
        llama_cpp.LLAMA_LOAD_MODE_MLOCK if options.use_mlock else 0
    )
    return parameters


def _load(
    files: Sequence[str], parameters: llama_cpp.llama_model_params, report: Callable[[Progress], None]
) -> llama_cpp.llama_model_p:
    reported = -1.0

    def tell(fraction: float, _: Any) -> bool:
        nonlocal reported
        if fraction >= min(reported + _REPORTED_STEP, 1):
            reported = fraction
            report(Progress("loading", fraction))
            mapped.forget(files)
        return True

    parameters.progress_callback = callback = llama_cpp.llama_progress_callback(tell)
    errors = log.collect_errors()
    model: llama_cpp.llama_model_p | None
    if len(files) == 1:
        model = llama_cpp.llama_model_load_from_file(files[0].encode(), parameters)
    else:
        paths = (ctypes.c_char_p * len(files))(*(file.encode() for file in files))
        model = llama_cpp.llama_model_load_from_splits(paths, len(files), parameters)
    del callback
    if model is None:
        raise LoadFailed(f"llama.cpp could not load {files[0]}: {_reason(errors)}")
    return model


def _reason(errors: Sequence[str]) -> str:
    """Return the first error: what follows tells in other words that it did not work."""
    return errors[0] if errors else "it gave no reason"


def offloaded_layers(options: Options, header: Header, file_size: int, context: int) -> int:
    """Return how many layers go to the accelerator: what the option says, else as many as its free memory holds.

    A layer takes its share of the file and of the cache; a gigabyte stays free for what a step computes.
    """
    if on_processor(options):
        return 0
    if options.n_gpu_layers is not None:
        return ALL_LAYERS if options.n_gpu_layers < 0 else options.n_gpu_layers
    blocks = max(header.block_count, 1)
    layer = (file_size + context * bytes_per_token(header)) / blocks
    fitting = int((gpu_memory() - _COMPUTING) / layer)
    return ALL_LAYERS if fitting > blocks else max(0, fitting)
