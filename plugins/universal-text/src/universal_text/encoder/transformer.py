"""Loads the transformer of an embedding model."""

from typing import Any

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel

from universal_core import LoadFailed
from universal_text.loading import be_quiet

# Of these only the encoder half makes the vectors.
_ENCODER_HALF = {
    "t5": "T5EncoderModel",
    "mt5": "MT5EncoderModel",
    "umt5": "UMT5EncoderModel",
    "longt5": "LongT5EncoderModel",
}


def load_transformer(
    folder: str, *, device: torch.device, dtype: torch.dtype, trust_remote_code: bool
) -> PreTrainedModel:
    """Return a model that answers with a vector per token; raises LoadFailed where weights are missing.

    Of a float32 checkpoint only the matrices are narrowed to a 16-bit ``dtype``; run it within ``mixed``.
    """
    be_quiet()
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
        model, report = _class_for(config).from_pretrained(
            folder,
            config=config,
            dtype="auto",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
    except (OSError, ValueError) as error:
        raise LoadFailed(f"The transformer in {folder} cannot be loaded: {error}") from error
    # BERT's own pooler is never used here, and a checkpoint of a masked language model lacks it.
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing:
        raise LoadFailed(f"The weights in {folder} lack {len(missing)} tensors, first {missing[0]}.")
    model.config.use_cache = False
    _narrow(model.eval().requires_grad_(False), dtype).to(device)
    loaded: PreTrainedModel = model
    return loaded


def mixed(model: PreTrainedModel, dtype: torch.dtype) -> torch.autocast:
    """Return the context to run a model in: with narrowed matrices, their inputs are narrowed for them."""
    return torch.autocast(model.device.type, dtype=dtype, enabled=model.dtype == torch.float32 != dtype)


def _narrow(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Give the model a dtype, but leave what is added up in float32 as it is.

    With all of MiniLM in bfloat16, a quarter of very short texts and of word salads fall to a cosine of 0.99985 to
    float32; with float32 residuals, embeddings and norms none falls under 0.9999, at about a tenth of the speed.
    """
    if next(model.parameters()).dtype != torch.float32 or dtype == torch.float32:
        return model.to(dtype)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.to(dtype)
    return model


def _class_for(config: PretrainedConfig) -> Any:
    half = _ENCODER_HALF.get(config.model_type)
    if half is None and getattr(config, "is_encoder_decoder", False):
        raise LoadFailed(f"{config.model_type} has an encoder and a decoder, and of these only T5's kind can embed.")
    return getattr(transformers, half) if half else AutoModel
