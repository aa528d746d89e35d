"""Tiny causal language models: random ones for parity, and one that says exactly what a test wants.

Each ``make_*`` writes a complete model folder and returns its path.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from tiny.tokenizers import CHAT_TEMPLATE, byte_level_tokenizer

# Small random weights with tied embeddings repeat one token for ever; these make every position matter.
_SPREAD = 0.4


def make_llama(path: Path, **changes: Any) -> Path:
    """Write a Llama with grouped key-value heads."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return save_tiny(path, LlamaConfig, LlamaForCausalLM, {"num_key_value_heads": 2}, changes)


def make_qwen3(path: Path, **changes: Any) -> Path:
    """Write a Qwen3, which normalises queries and keys."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return save_tiny(path, Qwen3Config, Qwen3ForCausalLM, {"num_key_value_heads": 2, "head_dim": 16}, changes)


def make_mistral(path: Path, *, window: int = 16, **changes: Any) -> Path:
    """Write a Mistral whose attention looks back no further than ``window`` tokens."""
    from transformers import MistralConfig, MistralForCausalLM

    return save_tiny(
        path, MistralConfig, MistralForCausalLM, {"num_key_value_heads": 2, "sliding_window": window}, changes
    )


def make_gemma3(path: Path, *, window: int = 16, **changes: Any) -> Path:
    """Write a text-only Gemma 3: layers with and without a sliding window."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    special = {
        "num_key_value_heads": 2,
        "head_dim": 16,
        "sliding_window": window,
        "layer_types": ["sliding_attention", "full_attention"],
    }
    return save_tiny(path, Gemma3TextConfig, Gemma3ForCausalLM, special, changes)


def make_mixture(path: Path, **changes: Any) -> Path:
    """Write a Qwen3 mixture of experts."""
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    special = {
        "num_key_value_heads": 2,
        "head_dim": 16,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
        "decoder_sparse_step": 1,
    }
    return save_tiny(path, Qwen3MoeConfig, Qwen3MoeForCausalLM, special, changes)


def make_mamba(path: Path, **changes: Any) -> Path:
    """Write a Mamba, which has a recurrent state in place of a key-value cache."""
    from transformers import MambaConfig, MambaForCausalLM

    return save_tiny(path, MambaConfig, MambaForCausalLM, {"state_size": 8}, changes)


def make_gpt2(path: Path, **changes: Any) -> Path:
    """Write a GPT-2: learned positions, and names of its own in the configuration."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = _tokenizer(changes)
    config = GPT2Config(
        **{
            "vocab_size": len(tokenizer),
            "n_embd": 64,
            "n_layer": 2,
            "n_head": 4,
            "n_positions": 512,
            "initializer_range": _SPREAD,
            "tie_word_embeddings": False,
            **_ids(tokenizer),
            **changes,
        }
    )
    return _save(path, GPT2LMHeadModel, config, tokenizer)


def make_scripted(
    path: Path,
    pieces: Sequence[str],
    *,
    chat_template: str | None = CHAT_TEMPLATE,
    others: Mapping[str, Sequence[str]] = {},
) -> Path:
    """Write a model that answers every chat with ``pieces``, a token each, at temperature 1 too.

    Embeddings are one-hot, the blocks add nothing, and the output layer is the table of next tokens. So the
    pieces must differ from one another. The answer begins after the last token of a generation prompt, and
    anything outside the script is followed by the end. ``others`` are further scripts by the piece that each follows,
    for templates that end some of their prompts with it.
    """
    asides = [piece for start, script in others.items() for piece in (start, *script)]
    tokenizer, chain = scripted_chain(pieces, chat_template, asides)
    ids = [tokenizer.convert_tokens_to_ids([start, *script]) for start, script in others.items()]
    return _save_chains(path, tokenizer, chain, *([*found, tokenizer.eos_token_id] for found in ids))


def make_scripted_tokens(
    path: Path, pieces: Sequence[str | bytes], *, chat_template: str | None = CHAT_TEMPLATE
) -> Path:
    """Write a scripted model some of whose pieces are single bytes, to split characters between tokens."""
    return _save_chains(path, *scripted_chain(pieces, chat_template))


def scripted_chain(
    pieces: Sequence[str | bytes], chat_template: str | None, asides: Sequence[str] = ()
) -> tuple[Any, list[int]]:
    """Return the tokenizer of a scripted model, and the tokens that follow one another from prompt to end.

    ``asides`` are further pieces that the tokenizer knows.
    """
    words = [piece for piece in (*pieces, *asides) if isinstance(piece, str)]
    if len(set(words)) != len(words):
        raise ValueError("the pieces of a script must differ: the model knows only the last token")
    tokenizer = byte_level_tokenizer(pieces=words, chat_template=chat_template, context=2048)
    ids = [_byte_id(tokenizer, p) if isinstance(p, bytes) else tokenizer.convert_tokens_to_ids(p) for p in pieces]
    if len(set(ids)) != len(ids):
        raise ValueError("the pieces of a script must differ: the model knows only the last token")
    start = tokenizer.encode("Assistant:\n" if chat_template is None else "<|im_start|>assistant\n")[-1]
    return tokenizer, [start, *ids, tokenizer.eos_token_id]


def _byte_id(tokenizer: Any, byte: bytes) -> int:
    from tokenizers import pre_tokenizers

    (letters, _), *_ = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(byte.decode("latin-1"))
    # A character above U+007F has two bytes in UTF-8; the letter of a byte is found by its number instead.
    return int(tokenizer.convert_tokens_to_ids(letters if byte[0] < 128 else _letter(byte[0])))


def _letter(byte: int) -> str:
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return chr(byte) if byte in visible else chr(256 + [b for b in range(256) if b not in visible].index(byte))


def _save_chains(path: Path, tokenizer: Any, *chains: Sequence[int], width: int = 512) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    size = len(tokenizer)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        **_ids(tokenizer),
    )
    model = LlamaForCausalLM(config)
    table = torch.zeros(size, width)
    table[tokenizer.eos_token_id] = 0.01
    for token, following in (pair for chain in chains for pair in pairwise(chain)):
        table[:, token] = 0
        table[following, token] = 1
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(torch.eye(size, width))
        model.lm_head.weight.copy_(table)
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    return _write(path, model, tokenizer)


def save_tiny(
    path: Path, config_class: Any, model_class: Any, special: dict[str, Any], changes: dict[str, Any]
) -> Path:
    """Write a random model of two layers whose configuration says what is ``special``, and what a test ``changes``."""
    tokenizer = _tokenizer(changes)
    config = config_class(
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 512,
            "initializer_range": _SPREAD,
            "tie_word_embeddings": False,
            **_ids(tokenizer),
            **special,
            **changes,
        }
    )
    return _save(path, model_class, config, tokenizer)


def _tokenizer(changes: dict[str, Any]) -> Any:
    """Return the tokenizer; ``chat_template``, ``pieces`` and ``begins`` among the changes are its own."""
    return byte_level_tokenizer(
        chat_template=changes.pop("chat_template", CHAT_TEMPLATE),
        pieces=changes.pop("pieces", ()),
        begins=changes.pop("begins", False),
    )


def _ids(tokenizer: Any) -> dict[str, int]:
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _save(path: Path, model_class: Any, config: Any, tokenizer: Any) -> Path:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _write(path, model_class(config), tokenizer)


def _write(path: Path, model: Any, tokenizer: Any) -> Path:
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
