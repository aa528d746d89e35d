"""Which models the causal backend offers to run, told from config.json and the list of files alone."""

import re
from fnmatch import fnmatchcase
from typing import Any

from universal_core import SAMPLING_FIELDS, Backend, Claim, MemoryEstimate, ModelInfo
from universal_text.options import CausalOptions

BACKEND = Backend(
    name="text",
    model="universal_text.causal.model:CausalModel",
    tasks=("chat", "complete"),
    options=CausalOptions,
    preload=(
        "torch",
        "tokenizers",
        "transformers",
        "transformers.models.auto.modeling_auto",
        "transformers.models.auto.tokenization_auto",
        "transformers.models.llama.modeling_llama",
        "transformers.models.qwen3.modeling_qwen3",
        "universal_text.causal.model",
    ),
    engine="pytorch",
)

CHAT_FIELDS = ("n_ctx", "chat_template_kwargs")
COMPLETE_FIELDS = ("echo",)

# transformers names nearly every causal model *ForCausalLM. These are the others of AutoModelForCausalLM that
# write text from left to right with a key-value cache; the remaining ones (BERT's and XLM's heads, XLNet,
# Reformer, OpenAI GPT) have no such cache or are no text generators. The list stands here because asking
# transformers itself would import torch into the HTTP process.
_OTHER_NAMES = ("GPT2LMHeadModel", "CTRLLMHeadModel")

_WEIGHTS = re.compile(r"^model(-\d+-of-\d+)?\.safetensors$")
_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_BESIDE_WEIGHTS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece*.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tekken.json",
    "*.tiktoken",
    "chat_template.jinja",
    "chat_template.json",
)

_LIBRARIES = 256 * 2**20
_TOKENS_PER_SLOT = 2048


def claim_causal(info: ModelInfo) -> Claim | None:
    """Return an offer for a causal language model in safetensors, None for anything else."""
    architecture = next((name for name in info.architectures if is_causal(name)), None)
    weights = weight_files(info)
    if architecture is None or not weights:
        return None
    return Claim(
        backend=BACKEND.name,
        tasks=BACKEND.tasks,
        rank=50,
        reason=f"config.json names the causal language model {architecture}, and its weights are safetensors",
        memory=estimate(info, weights),
        slots=CausalOptions().slots,
        fields=SAMPLING_FIELDS + CHAT_FIELDS + COMPLETE_FIELDS,
        files=(*weights, *_files_beside(info)),
    )


def is_causal(architecture: str) -> bool:
    """Say whether a class name of config.json is one of a model that continues text."""
    return architecture.endswith("ForCausalLM") or architecture in _OTHER_NAMES


def weight_files(info: ModelInfo) -> tuple[str, ...]:
    """Return the safetensors that transformers would load: model.safetensors, or else its parts and their index.

    Copies of the same weights in other formats, under other names or in subfolders are left out.
    """
    names = {file.name for file in info.files}
    if _WHOLE in names:
        return (_WHOLE,)
    parts = sorted(_indexed(info) & names or {name for name in names if _WEIGHTS.match(name)})
    return (_INDEX, *parts) if parts and _INDEX in names else ()


def estimate(info: ModelInfo, weights: tuple[str, ...]) -> MemoryEstimate:
    """Return the bytes of the weight files, and of the state that a busy model keeps beside them.

    Weights count as they are on disk. State is ``slots`` answers of ``min(2048, context)`` tokens each, where a
    token takes ``2 x layers x key-value heads x head size x bytes per number`` (a key and a value vector in each
    layer), plus 256 MiB for the libraries. What the loaded model really takes is measured afterwards.
    """
    config = _text_config(info.config)
    tokens = min(_TOKENS_PER_SLOT, context_of(config) or _TOKENS_PER_SLOT)
    state = CausalOptions().slots * tokens * bytes_per_token(config)
    sizes = {file.name: file.size for file in info.files}
    return MemoryEstimate(weights=sum(sizes[name] for name in weights), working=state + _LIBRARIES)


def bytes_per_token(config: dict[str, Any]) -> int:
    """Return the bytes that one token takes in the key-value cache, 0 where the configuration does not tell."""
    layers = _number(config, "num_hidden_layers", "n_layer")
    heads = _number(config, "num_attention_heads", "n_head")
    width = _number(config, "hidden_size", "n_embd")
    shared = _number(config, "num_key_value_heads") or heads
    size = _number(config, "head_dim") or (width // heads if heads else 0)
    half = (config.get("dtype") or config.get("torch_dtype")) in ("bfloat16", "float16")
    return 2 * layers * shared * size * (2 if half else 4)


def context_of(config: dict[str, Any]) -> int | None:
    """Return the positions that a model knows, None where its configuration does not say."""
    return _number(config, "max_position_embeddings", "n_positions", "max_seq_len", "seq_length") or None


def _text_config(config: dict[str, Any]) -> dict[str, Any]:
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config


def _number(config: dict[str, Any], *names: str) -> int:
    return next((config[name] for name in names if isinstance(config.get(name), int)), 0)


def _indexed(info: ModelInfo) -> set[str]:
    index = info.documents.get(_INDEX)
    table = index.get("weight_map") if isinstance(index, dict) else None
    return {name for name in table.values() if isinstance(name, str)} if isinstance(table, dict) else set()


def _files_beside(info: ModelInfo) -> tuple[str, ...]:
    wanted = _BESIDE_WEIGHTS + (("*.py",) if info.config.get("auto_map") else ())
    top = (file.name for file in info.files if "/" not in file.name)
    return tuple(name for name in top if any(fnmatchcase(name, pattern) for pattern in wanted))
