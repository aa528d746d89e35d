"""How many bytes making pictures takes, told from the configurations of a pipeline's components.

What the libraries hold at the peak was measured on processors, in float32 and bfloat16, from 256 to 1024 pixels, as
multiples of the number of values in the widest layer. With the multiples below, estimates of such sizes were up to a
third over what was found. What does not grow with the picture, a prompt's values and a convolution's workspace, is not
counted: of small pictures it is the larger part, so that they may take more than is told.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

DENOISERS = ("unet", "transformer")
"""The components that run once a step, by the names that pipelines have for them."""

_SIDE = 512
_LATENT_SCALE = 8


class Shape(msgspec.Struct, frozen=True):
    """The configurations that decide how large the layers' values are: of what runs each step, and of the VAE."""

    denoiser: dict[str, Any]
    vae: dict[str, Any]

    @classmethod
    def of(cls, configurations: Mapping[str, Any]) -> "Shape":
        """Return the shape of a pipeline by the configurations of its components; those not known are empty."""
        found = [configurations[name] for name in DENOISERS if configurations.get(name)]
        return cls(dict(found[0]) if found else {}, dict(configurations.get("vae") or {}))

    @property
    def scale(self) -> int:
        """How many pixels in width stand for one latent value."""
        return latent_scale(self.vae)

    @property
    def usual_size(self) -> tuple[int, int]:
        """Width and height in pixels that the model was made for."""
        side = self.denoiser.get("sample_size") or self.denoiser.get("default_sample_size")
        pair = side if isinstance(side, list | tuple) else (side, side)
        if not all(isinstance(each, int) for each in pair):
            return (1024, 1024) if self.denoiser and "block_out_channels" not in self.denoiser else (_SIDE, _SIDE)
        return pair[-1] * self.scale, pair[0] * self.scale


def latent_scale(vae: Mapping[str, Any]) -> int:
    """Return how many pixels in width one latent value of a VAE stands for, 8 where its configuration does not tell."""
    for name in ("block_out_channels", "encoder_block_out_channels", "dim_mult"):
        if levels := vae.get(name):
            return int(2 ** (len(levels) - 1))
    return _LATENT_SCALE


def picture_bytes(
    shape: Shape, size: tuple[int, int], pictures: int, *, guided: bool, element: int, decoding: int = 0, tile: int = 0
) -> int:
    """Return the bytes that making some pictures together takes at its peak, beside the weights.

    ``size`` is width and height in pixels, ``element`` the bytes of one value. With ``guided``, each step reads
    prompt and negative prompt, twice the values. ``decoding`` is the bytes of one value in the VAE, where they differ.
    Decoding takes one picture at a time, of no more than ``tile`` pixels where that is not 0. Steps and decoding
    follow one another, so that the larger of the two counts.
    """
    denoising = denoising_bytes(shape, size, pictures * (2 if guided else 1), element)
    return max(denoising, decoding_bytes(shape, size, decoding or element, tile) + _pixels(size) * 3 * 4 * pictures)


def denoising_bytes(shape: Shape, size: tuple[int, int], batch: int, element: int) -> int:
    """Return the bytes that one step takes: ``batch`` pictures through a UNet or a transformer."""
    latents = _pixels(size) / shape.scale**2
    config = shape.denoiser
    values = _unet_values(config) if config.get("block_out_channels") else _transformer_values(shape)
    return int(latents * values * batch * element)


def decoding_bytes(shape: Shape, size: tuple[int, int], element: int, tile: int = 0) -> int:
    """Return the bytes that a VAE takes to turn the latents of one picture, or of a tile of it, into pixels.

    The peak is where the last level takes over, all pixels wide, as a multiple of the channels that it begins with:
    4 for AutoencoderKL (input, its normalised and its activated copy, and a convolution's), 2.5 for AutoencoderDC, 11
    for what Qwen-Image has of Wan's, which keeps frames. Measured: 3.75 to 4.1, 2.3 to 2.5, 10.6.
    """
    pixels = min(_pixels(size), tile) if tile else _pixels(size)
    return int(pixels * _values_decoded(shape.vae) * element)


def attention_bytes(shape: Shape, size: tuple[int, int], batch: int, element: int) -> int:
    """Return the bytes of the widest attention matrix, where it is kept whole: heads x positions x positions."""
    positions = _pixels(size) / shape.scale**2 / _patch(shape) ** 2
    config = shape.denoiser
    heads = config.get("num_attention_heads") or config.get("attention_head_dim") or 8
    for level, name in enumerate(config.get("down_block_types") or ()):
        if "Attn" in name:
            positions, heads = positions / 4**level, heads[level] if isinstance(heads, list | tuple) else heads
            break
    return int(positions**2 * (max(heads) if isinstance(heads, list | tuple) else heads) * batch * element)


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _unet_values(config: Mapping[str, Any]) -> float:
    """Return the values that a UNet keeps for one latent position of its input.

    What each level of the way down keeps for the way up, and at the widest level either attention with its gated
    feed-forward part (24 times its channels: 8 and 4 and 4 there, and input, query, key, value and output) or a
    convolution of both ways together (3 times the channels of both). Measured: 26 to 30 times the first channels in
    all, where the first level has attention.
    """
    channels, attends = config["block_out_channels"], config.get("down_block_types") or ()
    layers = config.get("layers_per_block") or 2
    layers = layers if isinstance(layers, int) else max(layers)
    kept = work = 0.0
    for level, width in enumerate(channels):
        share = 1 / 4**level
        kept += (layers + 1) * width * share
        below = channels[min(level + 1, len(channels) - 1)]
        attention = 24 * width if level < len(attends) and "Attn" in attends[level] else 0
        work = max(work, share * max(attention, 3 * (width + below)))
    return kept + work


def _transformer_values(shape: Shape) -> float:
    """Return the values that a transformer keeps for one latent position of its input.

    A block has 17 times the width of its positions: 4 before and 4 behind the activation, query, key and value, what
    attention makes of them, and copies of its input with and without norm. Measured: 12 (PixArt), 14 (Stable
    Diffusion 3, Sana) and 16 times (Flux, Qwen-Image).
    """
    config = shape.denoiser
    heads, width = config.get("num_attention_heads"), config.get("attention_head_dim")
    inner = heads * width if isinstance(heads, int) and isinstance(width, int) else config.get("hidden_size") or 2048
    return 17 * float(inner) / _patch(shape) ** 2


def _patch(shape: Shape) -> int:
    """Return how many latent values in width one position of a transformer stands for; pipelines may pack them too."""
    if shape.denoiser.get("block_out_channels"):
        return 1
    patch = shape.denoiser.get("patch_size") or 1
    latent = shape.vae.get("latent_channels") or shape.vae.get("z_dim")
    packed = latent and shape.denoiser.get("in_channels") == 4 * latent
    return max(int(patch) if isinstance(patch, int) else 1, 2 if packed else 1)


def _values_decoded(vae: Mapping[str, Any]) -> float:
    """Return the values that a decoder keeps for one pixel."""
    for name, multiple in (("block_out_channels", 4), ("decoder_block_out_channels", 2.5)):
        if levels := vae.get(name):
            return float(multiple * levels[min(1, len(levels) - 1)])
    if levels := vae.get("dim_mult"):
        first = vae.get("decoder_base_dim") or vae.get("base_dim") or 96
        return float(11 * first * levels[min(1, len(levels) - 1)])
    return 4.0 * 256
