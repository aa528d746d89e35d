"""Which checkpoints in one file are pipelines, told from the names of their tensors."""

from collections.abc import Mapping
from pathlib import Path

from universal_core import ModelInfo
from universal_diffusion.header import Tensor, read_header

# A tensor that only this kind of model has, as its authors named it, and the pipeline that runs it.
_MARKS = (
    ("conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight", "StableDiffusionXLPipeline"),
    ("conditioner.embedders.0.model.transformer.resblocks.0.attn.in_proj_weight", "StableDiffusionXLImg2ImgPipeline"),
    ("model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight", "StableDiffusion3Pipeline"),
    ("model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "FluxPipeline"),
    ("double_blocks.0.img_attn.qkv.weight", "FluxPipeline"),
    ("model.diffusion_model.input_blocks.0.0.weight", "StableDiffusionPipeline"),
)
_CHANNELS = {9: "StableDiffusionInpaintPipeline", 8: "StableDiffusionInstructPix2PixPipeline"}


def checkpoint_of(info: ModelInfo) -> str | None:
    """Return the name of the one safetensors file that a model consists of, None for a model in folders.

    It is a file named by its path, or the only one in a folder without components: their configurations may stand
    beside it, their weights do not.
    """
    found = [file.name for file in info.files if file.name.endswith(".safetensors")]
    if info.path is None or len(found) != 1 or "/" in found[0] or info.config:
        return None
    return found[0] if kind_of(read_header(path_of(info, found[0]))) else None


def kind_of(header: Mapping[str, Tensor]) -> str | None:
    """Return the pipeline class for a checkpoint with these tensors, None for anything else."""
    kind = next((kind for mark, kind in _MARKS if mark in header), None)
    first = header.get("model.diffusion_model.input_blocks.0.0.weight")
    if kind == "StableDiffusionPipeline" and first is not None and len(first.shape) > 1:
        return _CHANNELS.get(first.shape[1], kind)
    return kind


def header_of(info: ModelInfo) -> dict[str, Tensor]:
    """Return the tensors of the checkpoint that a model consists of."""
    name = checkpoint_of(info)
    return read_header(path_of(info, name)) if name else {}


def path_of(info: ModelInfo, name: str) -> Path:
    """Return where a checkpoint is: ``info.path`` is the file itself, or the folder that it is in."""
    whole = Path(info.path or "")
    return whole if whole.suffix == ".safetensors" else whole / name
