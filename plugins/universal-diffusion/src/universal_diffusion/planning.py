"""How a pipeline will be run, and what it takes: told from its files, the options and the device."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from universal_core import MemoryEstimate, ModelInfo, Smaller, accelerator, available_memory, has_bfloat16
from universal_diffusion.checkpoints import checkpoint_of
from universal_diffusion.files import Component, components_of
from universal_diffusion.options import DiffusionOptions
from universal_diffusion.placement import Needs, Placement, choose_placement, needed, resident
from universal_diffusion.weighing import is_stored_in, needs_of, needs_of_checkpoint

# Measured: what a worker has for itself of Python, PyTorch, transformers and diffusers, which its nursery has imported.
_PROCESS = 88 * 2**20
# What the allocator of the C library and convolutions keep whatever the size, beside the values of layers. Measured on
# a processor in bfloat16 with Stable Diffusion 1.5: 170 MB beside those of its VAE alone, from 512 to 768 pixels, and
# 350 MB in the whole pipeline of 512 pixels, in which steps go before. What it is on an accelerator was not measured.
_KEPT, _KEPT_ON_ACCELERATORS = 350 * 10**6, 48 * 2**20
_LEAST_SIDE = 256
_WORTH = 0.97
_MOST_ADVICE = 5
_ELEMENTS = {"float32": 4, "bfloat16": 2, "float16": 2}


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline's needs, and what has to be done about them."""

    needs: Needs
    placement: Placement


def plan(info: ModelInfo, options: DiffusionOptions, device: str) -> Planned:
    """Return how a pipeline will be run on a device as free as that is now. Raises ModelNotFound."""
    checkpoint = checkpoint_of(info)
    if checkpoint is not None:
        needs = needs_of_checkpoint(info, checkpoint, element_of(options, device))
    else:
        components = [each for each in components_of(info) if _is_loaded(each, options)]
        needs = needs_of(info, components, element_of(options, device))
        needs = with_upcast(needs, is_half=_is_half(info, components, options, device))
    kind = device.partition(":")[0]
    room = available_memory("cpu" if kind == "mps" else device)
    return Planned(needs=needs, placement=choose_placement(needs, room, kind, options))


def element_of(options: DiffusionOptions, device: str) -> int:
    """Return the bytes of one value while a pipeline computes."""
    if options.dtype != "auto":
        return _ELEMENTS[options.dtype]
    return 2 if device != "cpu" or has_bfloat16() else 4


def usual_device() -> str:
    """Return what pipelines run on where nothing is configured."""
    found = accelerator("auto")
    return found.type if found else "cpu"


def with_upcast(needs: Needs, *, is_half: bool) -> Needs:
    """Count 4 bytes a value in a VAE that diffusers computes in float32, because float16 overflows there."""
    upcast = is_half and needs.shape.vae.get("force_upcast")
    return msgspec.structs.replace(needs, decoding=4) if upcast else needs


def estimate(info: ModelInfo, options: DiffusionOptions, device: str) -> MemoryEstimate:
    """Return what a pipeline takes that makes as many pictures of its usual size at a time as it may."""
    found = _taken(info, options, device)
    less = [(advice, _taken(info, changed, device).total) for advice, changed in _alternatives(info, options, device)]
    smaller = [Smaller(advice, total) for advice, total in less if total < _WORTH * found.total]
    smaller.sort(key=lambda one: -one.total)
    return msgspec.structs.replace(found, smaller=tuple(smaller[:_MOST_ADVICE]))


def _taken(info: ModelInfo, options: DiffusionOptions, device: str) -> MemoryEstimate:
    planned = plan(info, options, device)
    needs, placement = planned.needs, planned.placement
    kept = _KEPT if device == "cpu" else _KEPT_ON_ACCELERATORS
    weights = resident(needs, placement.offload)
    adapters = sum(sorted(_adapters(options))[-options.max_loras :])
    return MemoryEstimate(
        weights=weights + adapters,
        working=needed(needs, placement, options.size or needs.shape.usual_size, options.max_batch) + kept,
        # What is offloaded is kept in the machine's memory.
        host=_PROCESS + (needs.weights if placement.offload != "none" else 0),
    )


def _adapters(options: DiffusionOptions) -> Iterator[int]:
    """Yield the bytes of the adapters that are on this machine."""
    for named in options.loras.values():
        path = Path(named).expanduser()
        files = path.glob("*.safetensors") if path.is_dir() else [path]
        yield sum(file.stat().st_size for file in files if file.is_file())


def _alternatives(info: ModelInfo, options: DiffusionOptions, device: str) -> Iterator[tuple[str, DiffusionOptions]]:
    """Yield what may take less, in words and as options."""
    change = msgspec.structs.replace
    if element_of(options, device) == 4:
        yield 'dtype = "bfloat16"', change(options, dtype="bfloat16")
    if device != "cpu":
        for how in ("model", "sequential"):
            yield f'cpu_offload = "{how}"', change(options, cpu_offload=how)
    if options.max_batch > 1:
        yield "max_batch = 1", change(options, max_batch=1)
    width, height = options.size or plan(info, options, device).needs.shape.usual_size
    while min(width, height) // 2 >= _LEAST_SIDE:
        width, height = width // 2, height // 2
        said = f'default_size = "{width}x{height}"'
        yield said, change(options, default_size=f"{width}x{height}")
        if options.max_batch > 1:
            both = change(options, max_batch=1, default_size=f"{width}x{height}")
            yield f"max_batch = 1, {said}", both


def _is_loaded(component: Component, options: DiffusionOptions) -> bool:
    return component.name != "safety_checker" or options.safety_checker


def _is_half(info: ModelInfo, components: list[Component], options: DiffusionOptions, device: str) -> bool:
    if options.dtype != "auto":
        return options.dtype == "float16"
    return device != "cpu" and is_stored_in(info, components, "F16")
