"""A pipeline in one file, with the names that Stable Diffusion's authors gave to its tensors."""

import re
import shutil
from pathlib import Path
from typing import Any

from tiny.diffusion import make_stable_diffusion

# diffusers' name on the left, the authors' on the right; those of blocks come before those of what is inside.
_UNET = (
    (r"^time_embedding\.linear_1", "time_embed.0"),
    (r"^time_embedding\.linear_2", "time_embed.2"),
    (r"^conv_in", "input_blocks.0.0"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
    (r"^mid_block\.resnets\.0", "middle_block.0"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^mid_block\.resnets\.1", "middle_block.2"),
    # One layer a level, so that each level is two blocks on the way down and two on the way up.
    (r"^down_blocks\.0\.resnets\.0", "input_blocks.1.0"),
    (r"^down_blocks\.0\.downsamplers\.0\.conv", "input_blocks.2.0.op"),
    (r"^down_blocks\.1\.resnets\.0", "input_blocks.3.0"),
    (r"^down_blocks\.1\.attentions\.0", "input_blocks.3.1"),
    (r"^up_blocks\.0\.resnets\.(\d)", r"output_blocks.\1.0"),
    (r"^up_blocks\.0\.attentions\.(\d)", r"output_blocks.\1.1"),
    (r"^up_blocks\.0\.upsamplers\.0", "output_blocks.1.2"),
    (r"^up_blocks\.1\.resnets\.0", "output_blocks.2.0"),
    (r"^up_blocks\.1\.resnets\.1", "output_blocks.3.0"),
    (r"^((?:in|out)put_blocks\.\d\.0|middle_block\.[02])\.norm1", r"\1.in_layers.0"),
    (r"^((?:in|out)put_blocks\.\d\.0|middle_block\.[02])\.conv1", r"\1.in_layers.2"),
    (r"^((?:in|out)put_blocks\.\d\.0|middle_block\.[02])\.norm2", r"\1.out_layers.0"),
    (r"^((?:in|out)put_blocks\.\d\.0|middle_block\.[02])\.conv2", r"\1.out_layers.3"),
    (r"time_emb_proj", "emb_layers.1"),
    (r"conv_shortcut", "skip_connection"),
)
_VAE = (
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    # The authors count the levels of the way up from its end.
    (r"up_blocks\.0\.resnets\.(\d)", r"up.1.block.\1"),
    (r"up_blocks\.1\.resnets\.(\d)", r"up.0.block.\1"),
    (r"up_blocks\.0\.upsamplers\.0", "up.1.upsample"),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"attn_1\.group_norm", "attn_1.norm"),
    (r"attn_1\.to_([qkv])", r"attn_1.\1"),
    (r"attn_1\.to_out\.0", "attn_1.proj_out"),
)


def make_checkpoint(path: Path, **changes: Any) -> Path:
    """Write a Stable Diffusion as one file in a folder that has the configurations, without weights, beside it."""
    from safetensors.torch import load_file, save_file

    make_stable_diffusion(path, **changes)
    found = {}
    for part, prefix, names in (
        ("unet/diffusion_pytorch_model", "model.diffusion_model.", _UNET),
        ("vae/diffusion_pytorch_model", "first_stage_model.", _VAE),
        ("text_encoder/model", "cond_stage_model.transformer.text_model.", ()),
    ):
        file = path / f"{part}.safetensors"
        weights = load_file(file)
        file.unlink()
        found |= {prefix + _renamed(name, names): _shaped(name, value) for name, value in weights.items()}
    save_file(found, path / "model.safetensors")
    return path / "model.safetensors"


def without_configuration(checkpoint: Path, folder: Path) -> Path:
    """Return a copy of a checkpoint that stands alone in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(checkpoint, folder))


def _renamed(name: str, names: Any) -> str:
    for pattern, replacement in names:
        name = re.sub(pattern, replacement, name)
    return name


def _shaped(name: str, value: Any) -> Any:
    """Return what is a linear layer in diffusers' VAE as the convolution that it was."""
    linear = re.search(r"attentions\.0\.to_(q|k|v|out\.0)\.weight$", name) and value.ndim == 2
    return value[:, :, None, None].contiguous() if linear and "mid_block" in name else value
