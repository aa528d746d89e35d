"""Whether the pictures that are asked for fit into the memory that is free, asked before each batch starts."""

from typing import Any

import torch

from universal_core import InsufficientMemory, available_memory
from universal_diffusion.placement import Needs, Placement, needed

_STEP = 64


def check_room(
    needs: Needs, placement: Placement, size: tuple[int, int], pictures: int, *, guided: bool, free: int
) -> None:
    """Raise InsufficientMemory if ``pictures`` of ``size`` made together need more than ``free`` bytes.

    The message has the numbers, and a size or a number of pictures that would fit.
    """
    wanted = needed(needs, placement, size, pictures, guided=guided)
    if wanted <= free:
        return
    width, height = size
    many = f"{pictures} pictures" if pictures > 1 else "a picture"
    raise InsufficientMemory(
        f"{many} of {width}x{height} would take about {_readable(wanted)} beside the model, and {_readable(free)} "
        f"are free: {_advice(needs, placement, size, pictures, guided, free)}",
        param="size",
    )


def free_memory(device: torch.device) -> int:
    """Return the bytes that tensors may still take on a device, what PyTorch keeps for reuse included."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return available_memory("cpu")


def tile(vae: Any, placement: Placement, size: tuple[int, int]) -> bool:
    """Let a VAE decode pictures of this size in tiles, or as a whole; return whether it will use tiles."""
    wanted = placement.tiles(size)
    switch = getattr(vae, "enable_tiling" if wanted else "disable_tiling", None)
    if switch is not None:
        switch()
    return wanted and switch is not None


def _advice(needs: Needs, placement: Placement, size: tuple[int, int], pictures: int, guided: bool, free: int) -> str:
    """Say what would fit: fewer pictures, else the largest size of the same form."""
    fewer = next((n for n in range(pictures - 1, 0, -1) if needed(needs, placement, size, n, guided=guided) <= free), 0)
    if fewer:
        return f"{fewer} at a time would fit"
    width, height = size
    for side in range(max(size) // _STEP * _STEP, 0, -_STEP):
        smaller = _shrunk(width, side, max(size)), _shrunk(height, side, max(size))
        if smaller != size and needed(needs, placement, smaller, guided=guided) <= free:
            return f"{smaller[0]}x{smaller[1]} would fit"
    return "no size would fit; free memory by unloading other models"


def _shrunk(length: int, side: int, longest: int) -> int:
    return max(_STEP, length * side // longest // _STEP * _STEP)


def _readable(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
