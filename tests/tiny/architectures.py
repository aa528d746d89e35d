"""What there is among causal language models: a tiny random one for everything that makes a forward pass differ.

``ALONE`` names those whose answers are computed one at a time, with the reason; all others are computed together.
"""

from pathlib import Path
from typing import Any, NamedTuple

from tiny.causal import save_tiny

WINDOW = 16
"""How far sliding windows look back, and how long chunks of attention are: less than a prompt of two sentences."""


class Architecture(NamedTuple):
    """The classes of transformers by the beginning of their names, and what a tiny configuration says of its own."""

    config: str
    model: str
    special: dict[str, Any]


def _same(name: str, **special: Any) -> Architecture:
    return Architecture(name, name, special)


_GROUPED = {"num_key_value_heads": 2}
_HEADS = {**_GROUPED, "head_dim": 16}
_GPT = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512}
_WINDOWS = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
_EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 32}
_LATENT = {
    **_EXPERTS,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "n_routed_experts": 4,
    "first_k_dense_replace": 1,
    "n_shared_experts": 1,
}
_SHARED_LAYERS = {
    **_HEADS,
    "num_hidden_layers": 4,
    "num_kv_shared_layers": 2,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "sliding_window": WINDOW,
    "hidden_size_per_layer_input": 16,
}

ARCHITECTURES: dict[str, Architecture] = {
    # Biases, positions in a part of each head, attention and feed-forward side by side.
    "phi": _same("Phi"),
    "phi3": _same("Phi3", **_GROUPED, sliding_window=WINDOW),
    "qwen2": _same("Qwen2", **_GROUPED),
    "olmo2": _same("Olmo2", **_GROUPED),
    "olmo3": _same("Olmo3", **_GROUPED, **_WINDOWS),
    "cohere": _same("Cohere", **_GROUPED, logit_scale=1.0),
    "granite": _same("Granite", **_GROUPED),
    "gpt_neox": _same("GPTNeoX"),
    "opt": _same("OPT", ffn_dim=128, word_embed_proj_dim=64),
    # One key-value head for all.
    "gpt_bigcode": _same("GPTBigCode", **_GPT),
    # Two attentions, one taken from the other.
    "diffllama": _same("DiffLlama", **_GROUPED),
    # Scores squeezed by tanh; so are the logits.
    "gemma2": _same(
        "Gemma2",
        **_HEADS,
        sliding_window=WINDOW,
        attn_logit_softcapping=5.0,
        final_logit_softcapping=8.0,
        query_pre_attn_scalar=16,
    ),
    # Later layers use the keys and values of earlier ones.
    "gemma3n": Architecture(
        "Gemma3nText",
        "Gemma3n",
        {
            **_SHARED_LAYERS,
            "vocab_size_per_layer_input": 400,
            "altup_num_inputs": 2,
            "laurel_rank": 8,
            "intermediate_size": [128] * 4,
            "activation_sparsity_pattern": [0.0] * 4,
        },
    ),
    "gemma4": Architecture(
        "Gemma4Text", "Gemma4", {**_SHARED_LAYERS, "vocab_size_per_layer_input": 400, "global_head_dim": 32}
    ),
    # Attention sinks.
    "gpt_oss": _same(
        "GptOss",
        **_HEADS,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=WINDOW,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    ),
    # Attention in chunks, layers without positions, a factor that grows with the position.
    "llama4": Architecture(
        "Llama4Text",
        "Llama4",
        {
            **_HEADS,
            "attention_chunk_size": WINDOW,
            "num_local_experts": 2,
            "interleave_moe_layer_step": 1,
            "no_rope_layers": [1, 0],
            "intermediate_size_mlp": 128,
            "floor_scale": 16,
        },
    ),
    "smollm3": _same("SmolLM3", **_GROUPED, no_rope_layers=[1, 0]),
    "mixtral": _same("Mixtral", **_GROUPED, num_local_experts=4),
    # Keys and values from a common latent vector, of different sizes.
    "deepseek_v2": _same("DeepseekV2", **_LATENT, q_lora_rank=None),
    "deepseek_v3": _same("DeepseekV3", **_LATENT, q_lora_rank=16, n_group=2, topk_group=1),
    # ALiBi.
    "bloom": _same("Bloom", n_head=4, n_layer=2),
    "mpt": _same("Mpt", d_model=64, n_heads=4, n_layers=2, max_seq_len=512),
    "falcon": _same("Falcon", alibi=True, new_decoder_architecture=False, multi_query=False),
    # Attention of their own.
    "gptj": _same("GPTJ", **_GPT, rotary_dim=8),
    "gpt_neo": _same(
        "GPTNeo", num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=WINDOW
    ),
    "stablelm": _same("StableLm", **_GROUPED),
    # Recurrent layers, alone or between layers of attention.
    "mamba2": _same("Mamba2", num_heads=8, head_dim=16, state_size=8, n_groups=1, chunk_size=16, expand=2),
    "rwkv": _same("Rwkv"),
    "falcon_h1": _same(
        "FalconH1",
        **_HEADS,
        mamba_d_ssm=64,
        mamba_n_heads=4,
        mamba_d_head=16,
        mamba_d_state=8,
        mamba_chunk_size=16,
        mamba_n_groups=1,
    ),
    "jamba": _same(
        "Jamba",
        **_GROUPED,
        attn_layer_period=2,
        attn_layer_offset=1,
        expert_layer_period=2,
        expert_layer_offset=1,
        num_experts=4,
        mamba_d_state=8,
        mamba_dt_rank=4,
    ),
    "lfm2": _same("Lfm2", **_GROUPED, layer_types=["conv", "full_attention"], conv_L_cache=3),
    "minimax": _same(
        "MiniMax", **_HEADS, layer_types=["linear_attention", "full_attention"], num_local_experts=2, block_size=WINDOW
    ),
    "qwen3_next": _same(
        "Qwen3Next",
        **_HEADS,
        **_EXPERTS,
        layer_types=["linear_attention", "full_attention"],
        num_experts=4,
        shared_expert_intermediate_size=32,
        linear_num_value_heads=2,
        linear_num_key_heads=2,
        linear_key_head_dim=16,
        linear_value_head_dim=16,
    ),
}

_RECURRENT = "recurrent"
_OWN = "attention of its own"
ALONE = {
    **dict.fromkeys(("mamba", "mamba2", "rwkv", "falcon_h1", "jamba", "qwen3_next"), _RECURRENT),
    **dict.fromkeys(("lfm2", "minimax", "llama4"), "layers"),
    **dict.fromkeys(("bloom", "mpt", "falcon", "gptj", "gpt_neo", "stablelm"), _OWN),
    # It doubles what its attention is given, and then takes one half from the other.
    "diffllama": "comes out otherwise",
}


# transformers keeps what it has read in the model itself: two answers would be mixed up.
REFUSED = {
    "recurrent_gemma": _same(
        "RecurrentGemma", **_HEADS, lru_width=64, attention_window_size=WINDOW, block_types=["recurrent", "attention"]
    )
}


def make_architecture(path: Path, name: str, **changes: Any) -> Path:
    """Write the folder of a model and return it."""
    import transformers

    found = {**ARCHITECTURES, **REFUSED}[name]
    config, model = (getattr(transformers, one) for one in (f"{found.config}Config", f"{found.model}ForCausalLM"))
    return save_tiny(path, config, model, found.special, changes)
