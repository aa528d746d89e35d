"""Tiny models as GGUF files, written with the gguf package and numpy alone: llama.cpp loads each of them.

Each ``make_*`` writes a complete file and returns its path. The sizes are multiples of 256 where a file is to be
quantized: the blocks of the K-quants are that long.
"""

import ctypes
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import gguf
import numpy
from numpy.typing import NDArray

from tiny.causal import scripted_chain
from tiny.tokenizers import CHAT_TEMPLATE, END, PAD, TURN, TURN_END, byte_level_tokenizer, is_control, sentencepieces

Tensors = dict[str, NDArray[numpy.float32]]
Random = Callable[..., NDArray[numpy.float32]]

# Random weights much smaller than this repeat one token for ever.
SPREAD = 0.1

JUDGE = "<|im_start|>user\n{query} : {document}<|im_end|>\n<|im_start|>assistant\n"

_CONTROL = {END, TURN, TURN_END, PAD}
_EMBEDDING_TENSORS = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.LayerNorm": "token_embd_norm",
    "pooler.dense": "cls",
    "classifier": "cls.output",
}
_ENCODER_TENSORS = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_DECODER_TENSORS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def make_gguf_llama(
    path: Path,
    *,
    seed: int = 0,
    context: int = 512,
    spread: float = SPREAD,
    chat_template: str | None = CHAT_TEMPLATE,
    hidden: int = 256,
    feed_forward: int = 512,
    layers: int = 2,
    heads: int = 4,
    key_value_heads: int = 2,
    vocabulary: int = 400,
    pooling: str | None = None,
) -> Path:
    """Write a random Llama whose greedy text varies; ``pooling`` (mean, cls, last) says how it embeds."""
    tokenizer = byte_level_tokenizer(vocabulary, chat_template=chat_template, context=context)
    random, size = _random(seed, spread), len(tokenizer)
    tensors = {
        "token_embd.weight": random(size, hidden) / spread,
        "output_norm.weight": _ones(hidden),
        "output.weight": random(size, hidden),
    }
    for layer in range(layers):
        shapes = _decoder_shapes(hidden, feed_forward, heads, key_value_heads, hidden // heads)
        tensors |= _block(layer, shapes, random)
    with _writing(path, "llama", tensors) as writer:
        _add_shape(writer, context, hidden, layers, feed_forward)
        _add_attention(writer, heads, key_value_heads, hidden // heads)
        _add_byte_level(writer, tokenizer)
        if pooling is not None:
            writer.add_pooling_type(gguf.PoolingType[pooling.upper()])
    return path


def make_gguf_sentencepiece(path: Path, *, seed: int = 0, context: int = 512) -> Path:
    """Write a random Llama with the vocabulary of :func:`tiny.tokenizers.sentencepiece_tokenizer`."""
    names, random, hidden = sentencepieces(), _random(seed, SPREAD), 256
    tensors = {
        "token_embd.weight": random(len(names), hidden) / SPREAD,
        "output_norm.weight": _ones(hidden),
        "output.weight": random(len(names), hidden),
    }
    tensors |= _block(0, _decoder_shapes(hidden, 512, 4, 2, hidden // 4), random)
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL, *[gguf.TokenType.BYTE] * 256]
    with _writing(path, "llama", tensors) as writer:
        _add_shape(writer, context, hidden, 1, 512)
        _add_attention(writer, 4, 2, hidden // 4)
        writer.add_vocab_size(len(names))
        writer.add_tokenizer_model("llama")
        writer.add_token_list(list(names))
        writer.add_token_scores([float(-place) for place in range(len(names))])
        writer.add_token_types([*kinds, *[gguf.TokenType.NORMAL] * (len(names) - len(kinds))])
        writer.add_unk_token_id(0)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_add_space_prefix(True)
    return path


def make_gguf_gemma3(
    path: Path,
    *,
    window: int = 16,
    seed: int = 0,
    context: int = 512,
    spread: float = SPREAD,
    chat_template: str | None = CHAT_TEMPLATE,
    hidden: int = 256,
    feed_forward: int = 512,
) -> Path:
    """Write a random Gemma 3 of six layers, five of which look back no further than ``window`` tokens."""
    heads, key_value_heads, width, layers = 4, 2, 64, 6
    tokenizer = byte_level_tokenizer(chat_template=chat_template, context=context)
    random = _random(seed, spread)
    norms = {"attn_q_norm": (width,), "attn_k_norm": (width,)}
    norms |= {"post_attention_norm": (hidden,), "post_ffw_norm": (hidden,)}
    tensors = {
        "token_embd.weight": random(len(tokenizer), hidden),
        "output_norm.weight": _ones(hidden),
        "output.weight": random(len(tokenizer), hidden),
    }
    for layer in range(layers):
        shapes = _decoder_shapes(hidden, feed_forward, heads, key_value_heads, width)
        tensors |= _block(layer, shapes | norms, random)
    with _writing(path, "gemma3", tensors) as writer:
        _add_shape(writer, context, hidden, layers, feed_forward)
        _add_attention(writer, heads, key_value_heads, width)
        writer.add_sliding_window(window)
        _add_byte_level(writer, tokenizer)
    return path


def make_gguf_mamba(
    path: Path,
    *,
    seed: int = 0,
    context: int = 512,
    spread: float = SPREAD,
    chat_template: str | None = CHAT_TEMPLATE,
    hidden: int = 256,
    layers: int = 2,
) -> Path:
    """Write a random Mamba, which has a recurrent state in place of a key-value cache."""
    inner, state, kernel, rank = 2 * hidden, 8, 4, 16
    tokenizer = byte_level_tokenizer(chat_template=chat_template, context=context)
    random, size = _random(seed, spread), len(tokenizer)
    shapes = {
        "ssm_in": (2 * inner, hidden),
        "ssm_conv1d": (inner, kernel),
        "ssm_x": (rank + 2 * state, inner),
        "ssm_dt": (inner, rank),
        "ssm_out": (hidden, inner),
        "attn_norm": (hidden,),
    }
    tensors = {
        "token_embd.weight": random(size, hidden) / spread,
        "output_norm.weight": _ones(hidden),
        "output.weight": random(size, hidden),
    }
    for layer in range(layers):
        tensors |= _block(layer, shapes, random) | {
            f"blk.{layer}.ssm_conv1d.bias": random(inner),
            f"blk.{layer}.ssm_dt.bias": random(inner),
            f"blk.{layer}.ssm_a": -numpy.exp(random(inner, state)),
            f"blk.{layer}.ssm_d": _ones(inner),
        }
    with _writing(path, "mamba", tensors) as writer:
        _add_shape(writer, context, hidden, layers, 0)
        writer.add_head_count(0)
        writer.add_layer_norm_rms_eps(1e-6)
        writer.add_ssm_conv_kernel(kernel)
        writer.add_ssm_inner_size(inner)
        writer.add_ssm_state_size(state)
        writer.add_ssm_time_step_rank(rank)
        _add_byte_level(writer, tokenizer)
    return path


def make_gguf_scripted(path: Path, pieces: Sequence[str | bytes], *, chat_template: str | None = CHAT_TEMPLATE) -> Path:
    """Write a model that answers every chat with ``pieces``, a token each, at temperature 1 too.

    It is the model of :func:`tiny.causal.make_scripted`; quantized to Q8_0 or Q4_K_M it says the same.
    """
    tokenizer, chain = scripted_chain(pieces, chat_template)
    hidden, feed_forward, heads, size = 512, 256, 8, len(tokenizer)
    table = numpy.zeros((size, hidden), numpy.float32)
    table[tokenizer.eos_token_id] = 0.01
    for token, following in pairwise(chain):
        table[:, token] = 0
        table[following, token] = 1
    tensors = {
        "token_embd.weight": numpy.eye(size, hidden, dtype=numpy.float32),
        "output_norm.weight": _ones(hidden),
        "output.weight": table,
    }
    shapes = _decoder_shapes(hidden, feed_forward, heads, 2, hidden // heads)
    tensors |= _block(0, shapes, lambda *shape: numpy.zeros(shape, numpy.float32))
    with _writing(path, "llama", tensors) as writer:
        _add_shape(writer, 2048, hidden, 1, feed_forward)
        _add_attention(writer, heads, 2, hidden // heads)
        _add_byte_level(writer, tokenizer)
    return path


def make_gguf_bert(
    path: Path, *, pooling: str = "mean", rank: bool = False, context: int = 128, hidden: int = 64, seed: int = 0
) -> Path:
    """Write a random BERT that embeds by ``pooling``, or with ``rank`` scores pairs of query and document."""
    words = ["hello", "world", "the", "quick", "brown", "fox", "lazy", "dog", *",.!?"]
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters, *("##" + one for one in letters)]
    random = _random(seed, SPREAD)
    norms = {"attn_output_norm": (hidden,), "layer_output_norm": (hidden,)}
    squares = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (hidden, hidden))
    shapes = squares | norms | {"ffn_up": (2 * hidden, hidden), "ffn_down": (hidden, 2 * hidden)}
    tensors = {
        "token_embd.weight": random(len(vocabulary), hidden),
        "token_types.weight": random(2, hidden),
        "position_embd.weight": random(context, hidden),
        "token_embd_norm.weight": _ones(hidden),
        "token_embd_norm.bias": random(hidden),
    }
    for layer in range(2):
        tensors |= _block(layer, shapes, random)
        tensors |= {f"blk.{layer}.{name}.bias": random(shape[0]) for name, shape in shapes.items()}
    if rank:
        tensors |= {"cls.weight": random(hidden, hidden), "cls.bias": random(hidden)}
        tensors |= {"cls.output.weight": random(1, hidden), "cls.output.bias": random(1)}
    with _writing(path, "bert", tensors) as writer:
        _add_shape(writer, context, hidden, 2, 2 * hidden)
        _add_bert(writer, vocabulary, heads=2, pooling="rank" if rank else pooling)
    return path


def make_gguf_from_transformers(path: Path, folder: Path, *, pooling: str | None = None) -> Path:
    """Write the Llama, Qwen3 or BERT in a folder of transformers as a GGUF file with the same weights.

    ``pooling`` is how it embeds: mean, cls, last, or rank. A BERT ranks by its classifier; of a decoder the tokens
    "y" and "n" judge, as Qwen3's rerankers do with "yes" and "no", and :data:`JUDGE` asks them.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    weights = _weights(folder)
    if config["model_type"] == "bert":
        return _convert_bert(path, folder, config, weights, pooling or "mean")
    return _convert_decoder(path, folder, config, weights, pooling)


def quantize(source: Path, target: Path, kind: str) -> Path:
    """Write ``source`` again in a quantization as llama.cpp names it: Q4_K_M, Q8_0, F16."""
    import llama_cpp

    target.parent.mkdir(parents=True, exist_ok=True)
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{kind}")
    parameters.nthread = 1
    code = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(parameters))
    if code:
        raise RuntimeError(f"llama_model_quantize returned {code} for {source} to {kind}")
    return target


def split(source: Path, folder: Path, parts: int) -> list[Path]:
    """Write ``source`` again as ``parts`` files, its tensors spread over them; return their paths in order."""
    reader = gguf.GGUFReader(source)
    tensors = len(reader.tensors)
    _finish(_copied(reader, folder / source.name, split_max_tensors=-(-tensors // parts)))
    written = sorted(folder.glob(f"{source.stem}-*-of-*.gguf"))
    if len(written) != parts:
        raise ValueError(f"{tensors} tensors make {len(written)} files, not {parts}")
    return written


def add_text(source: Path, target: Path, key: str, value: str) -> Path:
    """Write ``source`` again with one more entry in its metadata."""
    writer = _copied(gguf.GGUFReader(source), target)
    writer.add_string(key, value)
    _finish(writer)
    return target


def add_numbers(source: Path, target: Path, numbers: dict[str, int]) -> Path:
    """Write ``source`` again with more numbers in its metadata."""
    writer = _copied(gguf.GGUFReader(source), target)
    for key, value in numbers.items():
        writer.add_uint32(key, value)
    _finish(writer)
    return target


def make_projector(
    path: Path, *, embedding: int = 256, hidden: int = 64, image: int = 28, patch: int = 14, seed: int = 0
) -> Path:
    """Write the projector of images that goes beside a model of width ``embedding``: CLIP, then a small network."""
    random, layers = _random(seed, SPREAD), 2
    squares = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_out"), (hidden, hidden))
    shapes = squares | {"ffn_up": (2 * hidden, hidden), "ffn_down": (hidden, 2 * hidden)}
    shapes |= {"ln1": (hidden,), "ln2": (hidden,)}
    tensors = {
        "v.patch_embd.weight": random(hidden, 3, patch, patch),
        "v.class_embd": random(hidden),
        "v.position_embd.weight": random((image // patch) ** 2 + 1, hidden),
    }
    for norm in ("v.pre_ln", "v.post_ln"):
        tensors |= {f"{norm}.weight": _ones(hidden), f"{norm}.bias": random(hidden)}
    for name, width in (("mm.0", hidden), ("mm.2", embedding)):
        tensors |= {f"{name}.weight": random(embedding, width), f"{name}.bias": random(embedding)}
    for layer in range(layers):
        block = _block(layer, shapes, random)
        block |= {f"blk.{layer}.{name}.bias": random(shape[0]) for name, shape in shapes.items()}
        tensors |= {f"v.{name}": tensor for name, tensor in block.items()}
    with _writing(path, "clip", tensors) as writer:
        writer.add_type("mmproj")
        writer.add_clip_has_vision_encoder(True)
        writer.add_clip_projector_type("mlp")
        writer.add_vision_projection_dim(embedding)
        writer.add_vision_image_size(image)
        writer.add_vision_patch_size(patch)
        writer.add_vision_embedding_length(hidden)
        writer.add_vision_feed_forward_length(2 * hidden)
        writer.add_vision_block_count(layers)
        writer.add_vision_head_count(2)
        writer.add_vision_attention_layernorm_eps(1e-5)
        writer.add_vision_image_mean([0.48, 0.46, 0.41])
        writer.add_vision_image_std([0.27, 0.26, 0.28])
        writer.add_vision_use_gelu(True)
    return path


def _convert_decoder(path: Path, folder: Path, config: dict[str, Any], weights: Tensors, pooling: str | None) -> Path:
    from transformers import PreTrainedTokenizerFast

    heads, key_value_heads = config["num_attention_heads"], config["num_key_value_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    tensors = {
        "token_embd.weight": weights["model.embed_tokens.weight"],
        "output_norm.weight": weights["model.norm.weight"],
        "output.weight": weights["lm_head.weight"],
    }
    for layer in range(config["num_hidden_layers"]):
        tensors |= _renamed(weights, f"model.layers.{layer}.", f"blk.{layer}.", _DECODER_TENSORS)
        if config["model_type"] == "llama":
            for name, count in (("attn_q", heads), ("attn_k", key_value_heads)):
                tensors[f"blk.{layer}.{name}.weight"] = _interleaved(tensors[f"blk.{layer}.{name}.weight"], count)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    if pooling == "rank":
        tensors["cls.output.weight"] = weights["lm_head.weight"][tokenizer.convert_tokens_to_ids(["y", "n"])]
    with _writing(path, config["model_type"], tensors) as writer:
        _add_shape(
            writer,
            config["max_position_embeddings"],
            config["hidden_size"],
            config["num_hidden_layers"],
            config["intermediate_size"],
        )
        _add_attention(writer, heads, key_value_heads, width, config["rms_norm_eps"], _rope_base(config))
        _add_byte_level(writer, tokenizer)
        if pooling == "rank":
            writer.add_classifier_output_labels(["y", "n"])
            writer.add_string("tokenizer.chat_template.rerank", JUDGE)
        if pooling is not None:
            writer.add_pooling_type(gguf.PoolingType[pooling.upper()])
    return path


def _convert_bert(path: Path, folder: Path, config: dict[str, Any], weights: Tensors, pooling: str) -> Path:
    document = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = sorted(document["model"]["vocab"], key=document["model"]["vocab"].__getitem__)
    weights = {name.removeprefix("bert."): tensor for name, tensor in weights.items()}
    tensors = _renamed(weights, "", "", _EMBEDDING_TENSORS)
    if pooling != "rank":
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("cls.")}
    for layer in range(config["num_hidden_layers"]):
        tensors |= _renamed(weights, f"encoder.layer.{layer}.", f"blk.{layer}.", _ENCODER_TENSORS)
    with _writing(path, "bert", tensors) as writer:
        _add_shape(
            writer,
            config["max_position_embeddings"],
            config["hidden_size"],
            config["num_hidden_layers"],
            config["intermediate_size"],
        )
        heads, epsilon = config["num_attention_heads"], config["layer_norm_eps"]
        _add_bert(writer, vocabulary, heads=heads, pooling=pooling, epsilon=epsilon)
    return path


def _weights(folder: Path) -> Tensors:
    from safetensors.numpy import load_file

    return {name: tensor.astype(numpy.float32) for name, tensor in load_file(folder / "model.safetensors").items()}


def _renamed(weights: Tensors, before: str, after: str, names: dict[str, str]) -> Tensors:
    """Return the tensors that exist of those named, weight and bias, under their names in GGUF."""
    return {
        f"{after}{new}.{kind}": weights[f"{before}{old}.{kind}"]
        for old, new in names.items()
        for kind in ("weight", "bias")
        if f"{before}{old}.{kind}" in weights
    }


def _interleaved(weight: NDArray[numpy.float32], heads: int) -> NDArray[numpy.float32]:
    """Reorder each head's rows: llama.cpp's Llama rotates neighbours, transformers the two halves."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _rope_base(config: dict[str, Any]) -> float:
    return float((config.get("rope_parameters") or config)["rope_theta"])


def _random(seed: int, spread: float) -> Random:
    generator = numpy.random.default_rng(seed)
    return lambda *shape: generator.standard_normal(shape, dtype=numpy.float32) * numpy.float32(spread)


def _ones(size: int) -> NDArray[numpy.float32]:
    return numpy.ones(size, numpy.float32)


def _decoder_shapes(
    hidden: int, feed_forward: int, heads: int, key_value_heads: int, width: int
) -> dict[str, tuple[int, ...]]:
    return {
        "attn_norm": (hidden,),
        "ffn_norm": (hidden,),
        "attn_q": (heads * width, hidden),
        "attn_k": (key_value_heads * width, hidden),
        "attn_v": (key_value_heads * width, hidden),
        "attn_output": (hidden, heads * width),
        "ffn_gate": (feed_forward, hidden),
        "ffn_up": (feed_forward, hidden),
        "ffn_down": (hidden, feed_forward),
    }


def _block(layer: int, shapes: dict[str, tuple[int, ...]], random: Random) -> Tensors:
    """Return a layer's weights: those of one dimension are norms, which begin at 1."""
    return {
        f"blk.{layer}.{name}.weight": _ones(*shape) if len(shape) == 1 else random(*shape)
        for name, shape in shapes.items()
    }


@contextmanager
def _writing(path: Path, architecture: str, tensors: Tensors) -> Iterator[gguf.GGUFWriter]:
    """Give a writer for the metadata, then write the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(f"tiny-{architecture}")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    yield writer
    for name, tensor in tensors.items():
        writer.add_tensor(name, numpy.ascontiguousarray(tensor, numpy.float32))
    _finish(writer)


def _copied(reader: gguf.GGUFReader, target: Path, **options: Any) -> gguf.GGUFWriter:
    """Return a writer that has all of a file's metadata and tensors."""
    target.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(target, str(reader.fields["general.architecture"].contents()), **options)
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], inner)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    return writer


def _finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: gguf.GGUFWriter, context: int, hidden: int, layers: int, feed_forward: int) -> None:
    writer.add_context_length(context)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(feed_forward)


def _add_attention(
    writer: gguf.GGUFWriter,
    heads: int,
    key_value_heads: int,
    width: int,
    epsilon: float = 1e-6,
    rope_base: float = 10000.0,
) -> None:
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_value_heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(rope_base)
    writer.add_layer_norm_rms_eps(epsilon)


def _add_byte_level(writer: gguf.GGUFWriter, tokenizer: Any) -> None:
    """Add a byte-level vocabulary, and the chat template that it carries."""
    vocabulary = tokenizer.get_vocab()
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    writer.add_token_list(tokens)
    writer.add_token_types([_token_type(token, cast("dict[str, int]", model["vocab"])) for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(tokenizer.encode("a")[0] == tokenizer.bos_token_id)
    if tokenizer.chat_template is not None:
        writer.add_chat_template(tokenizer.chat_template)


def _token_type(token: str, trained: dict[str, int]) -> gguf.TokenType:
    if token in _CONTROL or (token not in trained and is_control(token)):
        return gguf.TokenType.CONTROL
    return gguf.TokenType.NORMAL if token in trained else gguf.TokenType.USER_DEFINED


def _add_bert(
    writer: gguf.GGUFWriter, vocabulary: Sequence[str], *, heads: int, pooling: str, epsilon: float = 1e-12
) -> None:
    """Add attention, pooling and a WordPiece vocabulary: llama.cpp marks the beginnings of words, not the rest."""
    special = {token: place for place, token in enumerate(vocabulary) if len(token) > 1 and token.startswith("[")}
    writer.add_head_count(heads)
    writer.add_layer_norm_eps(epsilon)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType[pooling.upper()])
    if pooling == "rank":
        writer.add_classifier_output_labels(["score"])
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([token if token in special else _marked(token) for token in vocabulary])
    kinds = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([kinds[0] if token in special else kinds[1] for token in vocabulary])
    writer.add_token_type_count(2)
    writer.add_pad_token_id(special["[PAD]"])
    writer.add_unk_token_id(special["[UNK]"])
    writer.add_bos_token_id(special["[CLS]"])
    writer.add_eos_token_id(special["[SEP]"])
    writer.add_sep_token_id(special["[SEP]"])
    writer.add_mask_token_id(special["[MASK]"])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)
    # One [SEP] between a query and a document, the eos above, and not a second one.
    writer.add_add_sep_token(False)


def _marked(token: str) -> str:
    return token.removeprefix("##") if token.startswith("##") else "\u2581" + token
