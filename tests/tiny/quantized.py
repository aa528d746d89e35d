"""Tiny quantized checkpoints: a Llama's weights, packed as the tools of the field pack them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tiny.causal import make_llama

Tensors = dict[str, torch.Tensor]

_WEIGHTS = "model.safetensors"
_BLOCK = 32
_SCHEMES: dict[str, dict[str, Any]] = {
    "int8": {"num_bits": 8, "type": "int", "strategy": "channel"},
    "float8": {"num_bits": 8, "type": "float", "strategy": "channel"},
    "int4": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": _BLOCK},
}
_LARGEST = {"int8": 127, "float8": 448, "int4": 7}


def make_plain(path: Path, **changes: Any) -> Path:
    """Write a Llama whose layers are wide enough to be quantized in groups."""
    return make_llama(path, hidden_size=128, intermediate_size=256, **changes)


def make_compressed(path: Path, kind: str) -> Path:
    """Write a Llama whose linear layers compressed-tensors has packed as ``int8``, ``float8`` or ``int4``."""
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import QuantizationConfig, QuantizationStatus, apply_quantization_config
    from transformers import AutoModelForCausalLM

    make_plain(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16)
    groups = {"group_0": {"targets": ["Linear"], "weights": {**_SCHEMES[kind], "symmetric": True}}}
    apply_quantization_config(
        model, QuantizationConfig.model_validate({"config_groups": groups, "ignore": ["lm_head"]})
    )
    for layer in model.modules():
        if hasattr(layer, "quantization_scheme"):
            parts = layer.weight.data.unflatten(1, (-1, _BLOCK if kind == "int4" else layer.weight.shape[1]))
            layer.weight_scale.data.copy_(parts.abs().amax(-1) / _LARGEST[kind])
            layer.quantization_status = QuantizationStatus.FROZEN
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    model.save_pretrained(path)
    compressor.update_config(str(path))
    return path


def make_float8(path: Path) -> Path:
    """Write a Llama with linear layers in blocks of FP8, as DeepSeek's are, and everything else in bfloat16."""

    def packed(name: str, weight: torch.Tensor) -> Tensors:
        if "proj" not in name:
            return {name: weight.bfloat16()}
        rows, columns = weight.shape
        blocks = weight.reshape(rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK)
        scales = blocks.abs().amax((1, 3)) / _LARGEST["float8"]
        quantized = (blocks / scales[:, None, :, None]).reshape(rows, columns).to(torch.float8_e4m3fn)
        return {name: quantized, f"{name}_scale_inv": scales}

    told = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [_BLOCK, _BLOCK]}
    return _rewritten(make_plain(path), packed, dtype="bfloat16", quantization_config=told)


def named_quantized(source: Path, path: Path, told: dict[str, Any]) -> Path:
    """Copy a model and write into its config.json that it is quantized, which its weights are not."""
    shutil.copytree(source, path)
    _change(path, quantization_config=told)
    return path


def _rewritten(path: Path, packed: Callable[[str, torch.Tensor], Tensors], **changes: Any) -> Path:
    weights = load_file(path / _WEIGHTS)
    save_file(
        {key: value for name, weight in weights.items() for key, value in packed(name, weight).items()},
        path / _WEIGHTS,
        metadata={"format": "pt"},
    )
    _change(path, **changes)
    return path


def _change(path: Path, **changes: Any) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | changes))
