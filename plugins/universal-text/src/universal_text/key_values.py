"""What a language model keeps of the tokens that it has read, told from its configuration."""

from typing import Any

from universal_text.files import number_in
from universal_text.options import CausalOptions

TOKENS_PER_SLOT = 2048
"""Tokens of an answer that memory is set aside for; some may have more while others have less."""


def text_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of the language model in one of several parts."""
    inner = config.get("text_config")
    return inner if isinstance(inner, dict) else config


def context_of(config: dict[str, Any]) -> int | None:
    """Return the positions that a model knows, None where its configuration does not say."""
    return number_in(config, "max_position_embeddings", "n_positions", "max_seq_len", "seq_length") or None


def tokens_set_aside(options: CausalOptions, context: int) -> int:
    """Return the tokens that a cache for all answers has room for at least, where ``context`` positions are known."""
    if options.cache_tokens is not None:
        return options.cache_tokens
    return options.slots * min(TOKENS_PER_SLOT, context)


def bytes_per_token(config: dict[str, Any], size: int) -> int:
    """Return the bytes that one token takes in the key-value cache, where a number takes ``size`` of them.

    That is ``2 x layers x key-value heads x head size x size``: a key and a value vector in each layer. It is 0 where
    the configuration does not tell.
    """
    return size * sum(map(_numbers_in_layer, _layers(config)))


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
