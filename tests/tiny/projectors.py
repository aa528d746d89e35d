"""Tiny models that see and hear: further projectors, and a model whose positions have several dimensions."""

from pathlib import Path

import gguf

from tiny.gguf import (
    SPREAD,
    Random,
    Tensors,
    _add_attention,
    _add_byte_level,
    _add_shape,
    _block,
    _decoder_shapes,
    _ones,
    _random,
    _writing,
)
from tiny.tokenizers import CHAT_TEMPLATE, byte_level_tokenizer


def make_gguf_qwen2vl(path: Path, *, seed: int = 0, context: int = 512) -> Path:
    """Write a random Qwen2-VL: each token has a position in time, height and width (M-RoPE)."""
    hidden, feed_forward, heads, key_value_heads, layers = 256, 512, 4, 2, 2
    width = hidden // heads
    tokenizer = byte_level_tokenizer(chat_template=CHAT_TEMPLATE, context=context)
    random = _random(seed, SPREAD)
    tensors = {
        "token_embd.weight": random(len(tokenizer), hidden) / SPREAD,
        "output_norm.weight": _ones(hidden),
        "output.weight": random(len(tokenizer), hidden),
    }
    for layer in range(layers):
        tensors |= _block(layer, _decoder_shapes(hidden, feed_forward, heads, key_value_heads, width), random)
        for name, count in (("attn_q", heads), ("attn_k", key_value_heads), ("attn_v", key_value_heads)):
            tensors[f"blk.{layer}.{name}.bias"] = random(count * width)
    with _writing(path, "qwen2vl", tensors) as writer:
        _add_shape(writer, context, hidden, layers, feed_forward)
        _add_attention(writer, heads, key_value_heads, width)
        writer.add_rope_dimension_sections([8, 12, 12, 0])
        _add_byte_level(writer, tokenizer)
    return path


def make_qwen2vl_projector(path: Path, *, embedding: int = 256, hidden: int = 64, seed: int = 0) -> Path:
    """Write Qwen2-VL's projector: a picture keeps its shape, a token is 28 by 28 pixels."""
    random, patch = _random(seed, SPREAD), 14
    tensors = _tower("v", hidden, 2, random) | {
        "v.patch_embd.weight": random(hidden, 3, patch, patch),
        "v.patch_embd.weight.1": random(hidden, 3, patch, patch),
        "v.post_ln.weight": _ones(hidden),
        "v.post_ln.bias": random(hidden),
        "mm.0.weight": random(4 * hidden, 4 * hidden),
        "mm.0.bias": random(4 * hidden),
        "mm.2.weight": random(embedding, 4 * hidden),
        "mm.2.bias": random(embedding),
    }
    with _writing(path, "clip", tensors) as writer:
        _add_vision(writer, "qwen2vl_merger", embedding, hidden, image=560, patch=patch)
    return path


def make_gemma3_projector(path: Path, *, embedding: int = 256, hidden: int = 64, seed: int = 0) -> Path:
    """Write Gemma 3's projector: 16 tokens a picture, which look at one another in both directions."""
    random, image, patch, factor = _random(seed, SPREAD), 112, 14, 2
    tensors = _tower("v", hidden, 2, random) | {
        "v.patch_embd.weight": random(hidden, 3, patch, patch),
        "v.patch_embd.bias": random(hidden),
        "v.position_embd.weight": random((image // patch) ** 2, hidden),
        "v.post_ln.weight": _ones(hidden),
        "v.post_ln.bias": random(hidden),
        "mm.input_projection.weight": random(hidden, embedding),
        "mm.soft_emb_norm.weight": _ones(hidden),
    }
    with _writing(path, "clip", tensors) as writer:
        _add_vision(writer, "gemma3", embedding, hidden, image=image, patch=patch)
        writer.add_vision_projector_scale_factor(factor)
    return path


def make_ultravox_projector(path: Path, *, embedding: int = 256, hidden: int = 64, seed: int = 0) -> Path:
    """Write Ultravox's projector of sound: a Whisper encoder, of whose frames sixteen are one token."""
    random, bins, stack = _random(seed, SPREAD), 80, 16
    tensors = _tower("a", hidden, 2, random, key_bias=False) | {
        "a.position_embd.weight": random(1500, hidden),
        "a.conv1d.1.weight": random(hidden, bins, 3),
        "a.conv1d.1.bias": random(hidden, 1),
        "a.conv1d.2.weight": random(hidden, hidden, 3),
        "a.conv1d.2.bias": random(hidden, 1),
        "a.post_ln.weight": _ones(hidden),
        "a.post_ln.bias": random(hidden),
        "mm.a.mlp.1.weight": random(2 * hidden, stack * hidden),
        "mm.a.mlp.2.weight": random(embedding, hidden),
        "mm.a.norm_pre.weight": _ones(stack * hidden),
        "mm.a.norm_mid.weight": _ones(hidden),
    }
    with _writing(path, "clip", tensors) as writer:
        writer.add_type("mmproj")
        writer.add_clip_has_audio_encoder(True)
        writer.add_clip_projector_type("ultravox")
        writer.add_audio_projection_dim(embedding)
        writer.add_audio_embedding_length(hidden)
        writer.add_audio_feed_forward_length(2 * hidden)
        writer.add_audio_block_count(2)
        writer.add_audio_head_count(2)
        writer.add_audio_attention_layernorm_eps(1e-5)
        writer.add_audio_num_mel_bins(bins)
        writer.add_audio_stack_factor(stack)
    return path


def _tower(prefix: str, hidden: int, layers: int, random: Random, *, key_bias: bool = True) -> Tensors:
    squares = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_out"), (hidden, hidden))
    shapes = squares | {"ffn_up": (2 * hidden, hidden), "ffn_down": (hidden, 2 * hidden)}
    shapes |= {"ln1": (hidden,), "ln2": (hidden,)}
    tensors: Tensors = {}
    for layer in range(layers):
        block = _block(layer, shapes, random)
        block |= {
            f"blk.{layer}.{name}.bias": random(shape[0])
            for name, shape in shapes.items()
            if key_bias or name != "attn_k"
        }
        tensors |= {f"{prefix}.{name}": tensor for name, tensor in block.items()}
    return tensors


def _add_vision(writer: gguf.GGUFWriter, kind: str, embedding: int, hidden: int, *, image: int, patch: int) -> None:
    writer.add_type("mmproj")
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type(kind)
    writer.add_vision_projection_dim(embedding)
    writer.add_vision_image_size(image)
    writer.add_vision_patch_size(patch)
    writer.add_vision_embedding_length(hidden)
    writer.add_vision_feed_forward_length(2 * hidden)
    writer.add_vision_block_count(2)
    writer.add_vision_head_count(2)
    writer.add_vision_attention_layernorm_eps(1e-5)
    writer.add_vision_image_mean([0.48, 0.46, 0.41])
    writer.add_vision_image_std([0.27, 0.26, 0.28])
    writer.add_vision_use_gelu(True)
