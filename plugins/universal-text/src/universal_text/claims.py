"""Which models the causal backend offers to run, told from config.json and the list of files alone."""

from typing import Any

from universal_core import CHAT_FIELDS, SAMPLING_FIELDS, Backend, Claim, MemoryEstimate, ModelInfo, names_in_mapping
from universal_text.files import files_beside, number_in, weight_files
from universal_text.options import PRELOAD, CausalOptions
from universal_text.quantization import described, unpacked_bytes
from universal_text.together import reason_alone

BACKEND = Backend(
    name="text",
    model="universal_text.causal.model:CausalModel",
    tasks=("chat", "complete", "tokenize", "detokenize"),
    options=CausalOptions,
    preload=PRELOAD,
    engine="pytorch",
)

ADAPTER_FIELDS = ("adapter",)
COMPLETE_FIELDS = ("echo", "suffix")

# transformers names nearly every causal model *ForCausalLM. These are the others of AutoModelForCausalLM that
# write text from left to right with a key-value cache; the remaining ones (BERT's and XLM's heads, XLNet,
# Reformer, OpenAI GPT) have no such cache or are no text generators. The list stands here because asking
# transformers itself would import torch into the HTTP process.
_OTHER_NAMES = ("GPT2LMHeadModel", "CTRLLMHeadModel")

_LIBRARIES = 256 * 2**20
TOKENS_PER_SLOT = 2048
"""Tokens of an answer that memory is set aside for; some may have more while others have less."""


def claim_causal(info: ModelInfo) -> Claim | None:
    """Return an offer for a causal language model in safetensors, None for anything else."""
    architecture = next((name for name in info.architectures if is_causal(name)), None)
    weights = weight_files(info)
    if architecture is None or not weights or _writes_of_pictures(info, architecture):
        return None
    return Claim(
        backend=BACKEND.name,
        tasks=BACKEND.tasks,
        rank=50,
        reason=f"config.json names the causal language model {architecture}, and its weights are safetensors"
        + described(info.config)
        + _company(info.config),
        memory=estimate(info, weights),
        slots=CausalOptions().slots,
        fields=SAMPLING_FIELDS + CHAT_FIELDS + COMPLETE_FIELDS + ADAPTER_FIELDS,
        files=(*weights, *files_beside(info)),
    )


def _company(config: dict[str, Any]) -> str:
    alone = reason_alone(config)
    return f"; its answers are computed one at a time: {alone}" if alone else "; its answers are computed together"


def _writes_of_pictures(info: ModelInfo, architecture: str) -> bool:
    """Whether a model is named like the others and was made to write about pictures alone, as GIT was."""
    known = names_in_mapping("transformers.models.auto.modeling_auto", "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES")
    return "vision_config" in info.config and any(architecture in names for names in known.values())


def is_causal(architecture: str) -> bool:
    """Say whether a class name of config.json is one of a model that continues text."""
    return architecture.endswith("ForCausalLM") or architecture in _OTHER_NAMES


def estimate(info: ModelInfo, weights: tuple[str, ...]) -> MemoryEstimate:
    """Return the bytes of the weight files as they are on disk, and of the state that a busy model keeps beside them.

    Quantized weights that are unpacked as they are loaded count as what they become.

    256 MiB for the libraries come on top. What the loaded model really takes is measured afterwards.
    """
    state = state_of(info.config, CausalOptions().slots)
    sizes = {file.name: file.size for file in info.files}
    size = unpacked_bytes(info.config, sum(sizes[name] for name in weights))
    return MemoryEstimate(weights=size, working=state + _LIBRARIES)


def state_of(config: dict[str, Any], slots: int) -> int:
    """Return the bytes of ``slots`` answers of ``min(2048, context)`` tokens each.

    A token takes ``2 x layers x key-value heads x head size x bytes per number``: a key and a value vector in each
    layer. Of a model of several parts the language model counts.
    """
    text = _text_config(config)
    tokens = min(TOKENS_PER_SLOT, context_of(text) or TOKENS_PER_SLOT)
    return slots * tokens * bytes_per_token(text)


def bytes_per_token(config: dict[str, Any]) -> int:
    """Return the bytes that one token takes in the key-value cache, 0 where the configuration does not tell."""
    numbers = sum(map(_numbers_in_layer, _layers(config)))
    half = (config.get("dtype") or config.get("torch_dtype")) in ("bfloat16", "float16")
    return numbers * (2 if half else 4)


def _layers(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the configuration of each layer: some models have heads of another size in some of them."""
    count = number_in(config, "num_hidden_layers", "n_layer")
    if number_in(config, "global_head_dim"):
        wide = {**config, "head_dim": config["global_head_dim"]}
        return [wide if kind == "full_attention" else config for kind in config.get("layer_types") or count * ("",)]
    others = config.get("per_layer_config") or {}
    return [{**config, **others.get(str(place), {})} for place in range(count)]


def _numbers_in_layer(config: dict[str, Any]) -> int:
    """Return how many numbers a layer keeps of a token.

    Where keys and values are made from a latent vector, transformers keeps what was made from it.
    """
    heads = number_in(config, "num_attention_heads", "n_head")
    if number_in(config, "kv_lora_rank"):
        return heads * sum(number_in(config, name) for name in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"))
    width = number_in(config, "hidden_size", "n_embd")
    shared = number_in(config, "num_key_value_heads") or heads
    return 2 * shared * (number_in(config, "head_dim") or (width // heads if heads else 0))


def context_of(config: dict[str, Any]) -> int | None:
    """Return the positions that a model knows, None where its configuration does not say."""
    return number_in(config, "max_position_embeddings", "n_positions", "max_seq_len", "seq_length") or None


def _text_config(config: dict[str, Any]) -> dict[str, Any]:
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config
