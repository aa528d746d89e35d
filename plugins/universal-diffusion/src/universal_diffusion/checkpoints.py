"""Which checkpoints in one file are pipelines, told from the names of their tensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from universal_core import ModelInfo
from universal_diffusion.estimate import Shape
from universal_diffusion.header import Tensor, read_header

_SPACE: dict[str, Any] = {"block_out_channels": [128, 256, 512, 512], "latent_channels": 4, "sample_size": 512}
_STABLE_DIFFUSION = Shape(
    {
        "block_out_channels": [320, 640, 1280, 1280],
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "sample_size": 64,
    },
    _SPACE,
)
_XL = Shape(
    {
        "block_out_channels": [320, 640, 1280],
        "down_block_types": ["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 2,
        "sample_size": 128,
    },
    _SPACE | {"sample_size": 1024, "force_upcast": True},
)
_TRANSFORMER = Shape(
    {"num_attention_heads": 24, "attention_head_dim": 128, "patch_size": 2}, _SPACE | {"sample_size": 1024}
)

# A tensor that only this kind of model has, by its authors' name; the pipeline that runs it, and its usual shape.
_FIRST = "model.diffusion_model.input_blocks.0.0.weight"
_MARKS = (
    ("conditioner.embedders.1.model.ln_final.weight", "StableDiffusionXLPipeline", _XL),
    ("conditioner.embedders.0.model.ln_final.weight", "StableDiffusionXLImg2ImgPipeline", _XL),
    ("model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight", "StableDiffusion3Pipeline", _TRANSFORMER),
    ("model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "FluxPipeline", _TRANSFORMER),
    ("double_blocks.0.img_attn.qkv.weight", "FluxPipeline", _TRANSFORMER),
    (_FIRST, "StableDiffusionPipeline", _STABLE_DIFFUSION),
)
_BY_CHANNELS = {8: "StableDiffusionInstructPix2PixPipeline", 9: "StableDiffusionInpaintPipeline"}


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline in one file: the class that runs it, how many numbers it has, and what such a pipeline looks like."""

    name: str
    path: str
    kind: str
    shape: Shape
    values: int

    @property
    def reads_pictures(self) -> bool:
        """Whether its network reads a picture beside the latents."""
        return self.kind in _BY_CHANNELS.values()


def checkpoint_of(info: ModelInfo) -> Checkpoint | None:
    """Return the one file that a model consists of, None for a model in folders and for one of another kind.

    It is a file named by its path, or the only safetensors in a folder: configurations of its components may stand
    beside it, weights do not.
    """
    found = [file.name for file in info.files if file.name.endswith(".safetensors")]
    if info.path is None or len(found) != 1 or "/" in found[0] or info.config:
        return None
    whole = Path(info.path)
    path = whole if whole.suffix == ".safetensors" else whole / found[0]
    header = read_header(path)
    kind, shape = _kind_of(header)
    if kind is None or shape is None:
        return None
    values = sum(tensor.values for tensor in header.values())
    return Checkpoint(name=found[0], path=str(path), kind=kind, shape=shape, values=values)


def _kind_of(header: Mapping[str, Tensor]) -> tuple[str | None, Shape | None]:
    mark, kind, shape = next((each for each in _MARKS if each[0] in header), (None, None, None))
    if mark == _FIRST and len(header[_FIRST].shape) > 1:
        return _BY_CHANNELS.get(header[_FIRST].shape[1], kind), shape
    return kind, shape
