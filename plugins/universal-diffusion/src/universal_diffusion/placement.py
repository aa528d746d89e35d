"""What is done so that a pipeline fits: offloading, attention in slices, decoding in tiles. Nothing where it does."""

from typing import Literal

import msgspec

from universal_diffusion.estimate import Shape, attention_bytes, decoding_bytes, picture_bytes
from universal_diffusion.options import DiffusionOptions

Offload = Literal["none", "model", "sequential"]

# Beside a picture there must be room for another process's, and for what the estimate does not see.
_SHARE = 0.9
_ATTENTION_SHARE = 0.25


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What a pipeline takes: the bytes of its weights, of its largest component, and what its pictures depend on.

    ``element`` is the bytes of one value while it computes, ``decoding`` those in its VAE.
    """

    weights: int
    largest: int
    shape: Shape
    element: int
    decoding: int = 0

    def picture(self, size: tuple[int, int], pictures: int = 1, *, guided: bool = True, tile: int = 0) -> int:
        """Return the bytes that making pictures takes beside the weights; see ``estimate.picture_bytes``."""
        return picture_bytes(
            self.shape, size, pictures, guided=guided, element=self.element, decoding=self.decoding, tile=tile
        )


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """How a pipeline is made to fit: ``tile_above`` is the pixels above which it decodes in tiles, None for never."""

    offload: Offload = "none"
    attention_slicing: bool = False
    tile_above: int | None = None

    def tiles(self, size: tuple[int, int]) -> bool:
        """Whether a picture of this size is decoded in tiles."""
        return self.tile_above is not None and size[0] * size[1] > self.tile_above

    def words(self) -> str:
        """Say what is done, for people; empty where nothing is."""
        said = {
            "model": "each component is on the GPU only while it computes",
            "sequential": "each layer is on the GPU only while it computes",
        }
        parts = [said.get(self.offload, ""), "attention in slices" if self.attention_slicing else ""]
        if self.tile_above is not None:
            side = int(self.tile_above**0.5)
            parts.append(f"VAE tiling above {side}x{side}" if side else "VAE tiling")
        return ", ".join(part for part in parts if part)


def resident(needs: Needs, offload: Offload) -> int:
    """Return the bytes of the weights that are on the device at once."""
    return {"none": needs.weights, "model": needs.largest, "sequential": 0}[offload]


def needed(needs: Needs, placement: Placement, size: tuple[int, int], pictures: int = 1, *, guided: bool = True) -> int:
    """Return the bytes that making pictures takes beside the weights, in tiles where the placement has them."""
    tile = tile_pixels(needs.shape) if placement.tiles(size) else 0
    return needs.picture(size, pictures, guided=guided, tile=tile)


def choose_placement(needs: Needs, room: int, device: str, options: DiffusionOptions) -> Placement:
    """Return what has to be done so that a pipeline makes pictures of its usual size in ``room`` bytes of a device.

    ``device`` is cuda, mps or cpu. What the options ask for is done in any case, and what they forbid never.
    """
    usual = needs.shape.usual_size
    if options.cpu_offload != "auto":
        offload = options.cpu_offload
    else:
        offload = _offload(needs, room, usual) if _chooses(options, device, "cuda") else "none"
    left = int(max(room - resident(needs, offload), 0) * _SHARE)
    slicing = options.attention_slicing
    if slicing is None:
        # Elsewhere attention is computed without ever keeping its matrix, and slices would only be slower.
        matrix = attention_bytes(needs.shape, usual, 2, needs.element)
        slicing = _chooses(options, device, "mps") and matrix > left * _ATTENTION_SHARE
    return Placement(offload=offload, attention_slicing=slicing, tile_above=_tile_above(needs, left, options))


def _chooses(options: DiffusionOptions, device: str, kind: str) -> bool:
    return options.enable_optimizations and device == kind


def _offload(needs: Needs, room: int, size: tuple[int, int]) -> Offload:
    """Return the mildest that leaves room for a picture decoded in tiles: none, by component, by layer."""
    working = needs.picture(size, tile=tile_pixels(needs.shape))
    if needs.weights + working <= room * _SHARE:
        return "none"
    return "model" if needs.largest + working <= room * _SHARE else "sequential"


def _tile_above(needs: Needs, left: int, options: DiffusionOptions) -> int | None:
    if options.vae_tiling is not None:
        return 0 if options.vae_tiling else None
    if not options.enable_optimizations:
        return None
    # What one pixel takes is the same at every size.
    a_pixel = decoding_bytes(needs.shape, (64, 64), needs.decoding or needs.element) / 64**2
    fitting = max(int(left / a_pixel), tile_pixels(needs.shape))
    return fitting if fitting < options.max_pixels else None


def tile_pixels(shape: Shape) -> int:
    """Return the pixels of a tile: AutoencoderKL takes the size that it was made for."""
    side = shape.vae.get("sample_size") or 512
    side = side[0] if isinstance(side, list | tuple) else side
    return int(side) ** 2
