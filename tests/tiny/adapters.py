"""Tiny LoRA adapters: for a model in a folder as peft saves them, and the same for its GGUF file.

Their numbers are large enough to change nearly every token.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RANK, ALPHA = 4, 8
WEIGHTS = "adapter_model.safetensors"

_GGUF_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def make_adapter(
    path: Path,
    model: Path,
    *,
    seed: int = 1,
    targets: Sequence[str] | str = ("q_proj", "v_proj", "down_proj"),
    kind: str = "AutoModelForCausalLM",
    **changes: Any,
) -> Path:
    """Write an adapter for the model in a folder of transformers; ``changes`` are fields of peft's LoraConfig."""
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
    from safetensors.torch import save_file

    wanted = targets if isinstance(targets, str) else list(targets)
    settings = {"r": RANK, "lora_alpha": ALPHA, "target_modules": wanted, "task_type": "CAUSAL_LM", **changes}
    config = LoraConfig(base_model_name_or_path=str(model), **settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        adapted = inject_adapter_in_model(config, getattr(transformers, kind).from_pretrained(model))
        with torch.no_grad():
            for name, weight in adapted.named_parameters():
                if "lora_A" in name or "lora_B" in name or "lora_embedding" in name:
                    weight.normal_(std=0.2)
    path.mkdir(parents=True, exist_ok=True)
    weights = {
        name: weight
        for name, weight in get_peft_model_state_dict(adapted, save_embedding_layers=False).items()
        if "lora_" in name
    }
    save_file({f"base_model.model.{name}": w.contiguous() for name, w in weights.items()}, path / WEIGHTS)
    config.save_pretrained(path)
    return path


def make_gguf_adapter(path: Path, folder: Path, *, architecture: str = "qwen3", alpha: float = ALPHA) -> Path:
    """Write peft's adapter in a folder as a GGUF file, for models whose heads need no reordering (qwen3)."""
    import gguf
    from safetensors.numpy import load_file

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    for name, weight in load_file(folder / WEIGHTS).items():
        place, _, half = name.removeprefix("base_model.model.model.layers.").removesuffix(".weight").rpartition(".")
        layer, _, target = place.partition(".")
        writer.add_tensor(f"blk.{layer}.{_GGUF_NAMES[target]}.weight.{half.lower()}", weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def change_config(folder: Path, **fields: Any) -> Path:
    """Say something else in an adapter's configuration."""
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))
    return folder
