"""Random GGUF models in real shapes, made once and kept; bench.models says what matters about their values."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy

from bench.llama.library import quantise
from bench.models import EMBEDDING_STD, LOGIT_SPREAD, SHAPES, Shape, made
from bench.vocabulary import CHAT_TEMPLATE, SPECIAL, byte_level, word_pieces

VERSION = 1
"""Stands in the files' names; raise it when what this module writes changes."""

ROWS = 8192

Tensor = tuple[str, tuple[int, ...], float, type[Any]]
"""Name, shape, standard deviation (0 for a vector of ones), type."""


MINILM = Shape(6, 384, 1536, 12, 12, 32, 30522, 512)
BERT_BASE = Shape(12, 768, 3072, 12, 12, 64, 30522, 512)


def text_model(folder: Path, shape: str, kind: str, threads: int, *, repeats: bool = False) -> Path:
    """Return the file of a text model of this shape and type, made now if it is not there.

    One that ``repeats`` writes its last token again and again: its layers add almost nothing to the embedding.
    """
    name = f"{shape}{'-repeats' if repeats else ''}-v{VERSION}"
    target = folder / f"{name}-{kind}.gguf"
    if not target.exists():
        source = folder / f"{name}-F16.gguf"
        if not source.exists():
            made(source, lambda path: _write_qwen3(path, SHAPES[shape], repeats=repeats))
        made(target, lambda path: quantise(source, path, kind, threads))
    return target


def embedding_model(folder: Path) -> Path:
    """Return the file of an encoder with the shape of all-MiniLM-L6-v2 in F16, made now if it is not there."""
    target = folder / f"minilm-v{VERSION}-F16.gguf"
    if not target.exists():
        made(target, lambda path: write_bert(path, MINILM))
    return target


def forget_sources(folder: Path) -> None:
    """Delete the files that were only made to be quantised."""
    for shape in SHAPES:
        for source in folder.glob(f"{shape}*-v{VERSION}-F16.gguf"):
            source.unlink()


def _write_qwen3(path: Path, shape: Shape, *, repeats: bool) -> None:
    writer = gguf.GGUFWriter(str(path), "qwen3")
    tokens, merges = byte_level(shape.vocabulary)
    writer.add_name("random Qwen3")
    _add_measures(writer, shape)
    writer.add_head_count_kv(shape.key_value_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_rope_freq_base(1000000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in SPECIAL else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges(merges)
    stop, _, end = range(len(tokens) - len(SPECIAL), len(tokens))
    writer.add_eos_token_id(end)
    writer.add_pad_token_id(stop)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    _write_tensors(writer, list(_qwen3_tensors(shape, repeats=repeats)), shape.hidden)


def _add_measures(writer: Any, shape: Shape) -> None:
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_vocab_size(shape.vocabulary)


def _qwen3_tensors(shape: Shape, *, repeats: bool) -> Iterator[Tensor]:
    hidden, queries, keys = shape.hidden, shape.heads * shape.head, shape.key_value_heads * shape.head
    added = 1e-3 if repeats else 1.0
    half, full = numpy.float16, numpy.float32
    yield "token_embd.weight", (shape.vocabulary, hidden), EMBEDDING_STD, half
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        yield f"{block}attn_norm.weight", (hidden,), 0, full
        yield f"{block}attn_q.weight", (queries, hidden), hidden**-0.5, half
        yield f"{block}attn_k.weight", (keys, hidden), hidden**-0.5, half
        yield f"{block}attn_v.weight", (keys, hidden), hidden**-0.5, half
        yield f"{block}attn_q_norm.weight", (shape.head,), 0, full
        yield f"{block}attn_k_norm.weight", (shape.head,), 0, full
        yield f"{block}attn_output.weight", (hidden, queries), added * queries**-0.5, half
        yield f"{block}ffn_norm.weight", (hidden,), 0, full
        yield f"{block}ffn_gate.weight", (shape.feed_forward, hidden), hidden**-0.5, half
        yield f"{block}ffn_up.weight", (shape.feed_forward, hidden), hidden**-0.5, half
        yield f"{block}ffn_down.weight", (hidden, shape.feed_forward), added * shape.feed_forward**-0.5, half
    yield "output_norm.weight", (hidden,), 0, full


def write_bert(path: Path, shape: Shape, *, ranks: bool = False) -> None:
    """Write an encoder in F16 that makes vectors, or with ``ranks`` scores pairs of query and document."""
    writer = gguf.GGUFWriter(str(path), "bert")
    tokens = word_pieces(shape.vocabulary)
    writer.add_name("random BERT")
    _add_measures(writer, shape)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.RANK if ranks else gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token[0] == "[" else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_type_count(2)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)
    tensors = [*_bert_tensors(shape), *(_ranking_tensors(shape) if ranks else ())]
    _write_tensors(writer, tensors, shape.hidden)


def _ranking_tensors(shape: Shape) -> Iterator[Tensor]:
    hidden = shape.hidden
    yield "cls.weight", (hidden, hidden), hidden**-0.5, numpy.float16
    yield "cls.bias", (hidden,), 0.01, numpy.float32
    yield "cls.output.weight", (1, hidden), hidden**-0.5, numpy.float16
    yield "cls.output.bias", (1,), 0.01, numpy.float32


def _bert_tensors(shape: Shape) -> Iterator[Tensor]:
    hidden, wide, half, full = shape.hidden, shape.feed_forward, numpy.float16, numpy.float32
    yield "token_embd.weight", (shape.vocabulary, hidden), 0.05, half
    yield "token_types.weight", (2, hidden), 0.05, full
    yield "position_embd.weight", (shape.context, hidden), 0.05, full
    yield "token_embd_norm.weight", (hidden,), 0, full
    yield "token_embd_norm.bias", (hidden,), 0.01, full
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"{block}{name}.weight", (hidden, hidden), hidden**-0.5, half
            yield f"{block}{name}.bias", (hidden,), 0.01, full
        yield f"{block}ffn_up.weight", (wide, hidden), hidden**-0.5, half
        yield f"{block}ffn_up.bias", (wide,), 0.01, full
        yield f"{block}ffn_down.weight", (hidden, wide), wide**-0.5, half
        yield f"{block}ffn_down.bias", (hidden,), 0.01, full
        for name in ("attn_output_norm", "layer_output_norm"):
            yield f"{block}{name}.weight", (hidden,), 0, full
            yield f"{block}{name}.bias", (hidden,), 0.01, full


def _write_tensors(writer: Any, tensors: list[Tensor], hidden: int) -> None:
    """Write one tensor after another, so that only the largest is ever in memory."""
    for name, shape, _, kind in tensors:
        size = int(numpy.prod(shape)) * numpy.dtype(kind).itemsize
        writer.add_tensor_info(name, shape, numpy.dtype(kind), size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    draw = numpy.random.default_rng(0)
    for name, shape, deviation, kind in tensors:
        values = _drawn(draw, shape, deviation, kind)
        if name == "output_norm.weight":
            values *= LOGIT_SPREAD / (EMBEDDING_STD * hidden**0.5)
        elif name == "token_embd.weight":
            values[-len(SPECIAL) :] *= 0.01
        writer.write_tensor_data(values)
    writer.close()


def _drawn(draw: numpy.random.Generator, shape: tuple[int, ...], deviation: float, kind: type[Any]) -> Any:
    if not deviation:
        return numpy.ones(shape, kind)
    values = numpy.empty(shape, kind)
    for begin in range(0, shape[0], ROWS):
        part = values[begin : begin + ROWS]
        part[:] = draw.standard_normal(part.shape, numpy.float32) * deviation
    return values
