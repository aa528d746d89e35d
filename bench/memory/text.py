"""Language models with every slot busy: prompts that fill the key-value cache, and short answers."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bench.memory.case import Case, Work
from bench.memory.weights import random_model
from bench.models import tokenizer_of
from bench.vocabulary import text
from universal_core import CompletionRequest

CONTEXT = 4096
_QWEN3 = {
    "vocab_size": 151936,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": True,
}
_LLAMA = {
    "vocab_size": 128256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": True,
}
_BAMBA = {
    "vocab_size": 49152,
    "hidden_size": 1024,
    "intermediate_size": 2048,
    "num_hidden_layers": 16,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
    "attn_layer_indices": [3, 11],
}
_TINY = {
    "vocab_size": 24000,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}


def cases() -> list[Case]:
    """Return the cases of causal language models."""
    found = [_case("tiny", "Qwen3", _TINY, "float32", 2)]
    for slots in (8, 2):
        found.append(_case("Qwen3-0.6B", "Qwen3", _QWEN3, "bfloat16", slots))
        found.append(_case("Qwen3-0.6B", "Qwen3", _QWEN3, "float32", slots))
        found.append(_case("Llama-3.2-1B", "Llama", _LLAMA, "bfloat16", slots))
        found.append(_case("Mamba hybrid 0.3B", "Bamba", _BAMBA, "bfloat16", slots))
    return found


def _case(name: str, kind: str, shape: Mapping[str, Any], dtype: str, slots: int) -> Case:
    options = {"slots": slots, "n_ctx": CONTEXT, "dtype": dtype}
    write = partial(_write, kind=kind, shape=shape, dtype=dtype)
    return Case(f"{name} {dtype} {slots} slots", write, partial(_work, slots), options)


def _write(path: Path, kind: str, shape: Mapping[str, Any], dtype: str) -> Path:
    import transformers

    tokenizer = tokenizer_of(shape["vocab_size"])
    ids = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": None, "pad_token_id": tokenizer.pad_token_id}
    config: Any = getattr(transformers, f"{kind}Config")(**shape, **ids)
    return random_model(path, getattr(transformers, f"{kind}ForCausalLM"), config, tokenizer, dtype=dtype)


def _work(slots: int) -> list[Work]:
    """Fill what there is room for, 2048 tokens a slot, in every slot at once; the tokens are drawn as is usual."""
    each, answer = 2048, 16
    drawn = CompletionRequest(prompt="", max_tokens=answer, temperature=0.8, top_p=0.95)
    prompts = [text(each - answer - 8, seed) for seed in range(slots)]
    return [Work("complete", [replace(drawn, prompt=prompt) for prompt in prompts])]
