"""Tiny embedding models with real configurations: a few KB of random weights that real libraries load."""

import json
import string
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from tokenizers.processors import TemplateProcessing
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BertTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen3Config,
    Qwen3ForCausalLM,
    RobertaConfig,
    RobertaModel,
)

from tiny.tokenizers import END, byte_level_tokenizer

SIZE = 32
POSITIONS = 128
PROMPTS = {"query": "query: ", "passage": "this is a passage: ", "document": ""}

_WORDS = ("hello", "world", "the", "quick", "brown", "fox", "lazy", "dog", "cat", "tiny", "query", "passage", "is")
_FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "last": "pooling_mode_lasttoken",
}
_NAMES = {"mean_sqrt": "mean_sqrt_len_tokens", "last": "lasttoken"}
_OLD = "sentence_transformers.models."
_NEW = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    "Dense": "sentence_transformers.base.modules.dense.Dense",
    "Normalize": "sentence_transformers.base.modules.normalize.Normalize",
}

Architecture = Literal["bert", "roberta", "qwen3"]


def wordpiece_tokenizer() -> BertTokenizer:
    """Return a WordPiece tokenizer with a vocabulary written out: the trainer's differs from run to run."""
    letters = string.ascii_lowercase + string.digits
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *string.punctuation]
    vocabulary += [*("##" + letter for letter in letters), *_WORDS, "##ing"]
    ids = {token: place for place, token in enumerate(dict.fromkeys(vocabulary))}
    return BertTokenizer(vocab=ids, do_lower_case=True, model_max_length=POSITIONS)


def ending_tokenizer(*, padding_side: str = "left") -> PreTrainedTokenizerBase:
    """Return a byte-level tokenizer that ends each text with a token, as decoders that embed have it."""
    tokenizer: PreTrainedTokenizerBase = byte_level_tokenizer(chat_template=None, context=POSITIONS)
    tokenizer.padding_side = padding_side
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, tokenizer.convert_tokens_to_ids(END))]
    )
    return tokenizer


def make_bert(path: Path, *, masked_lm: bool = False, seed: int = 0) -> Path:
    """Write a plain BERT without a modules.json; with ``masked_lm`` one with a language head and no pooler."""
    torch.manual_seed(seed)
    tokenizer = wordpiece_tokenizer()
    config = bert_config(len(tokenizer))
    return save(path, BertForMaskedLM(config) if masked_lm else BertModel(config), tokenizer)


def make_sentence_transformer(
    path: Path,
    *,
    pooling: str | tuple[str, ...] = "mean",
    normalize: bool = True,
    arch: Architecture = "bert",
    dense: bool | dict[str, Any] = False,
    pickled: bool = False,
    include_prompt: bool = True,
    prompts: dict[str, str] | None = None,
    default_prompt: str | None = None,
    max_seq_length: int | None = POSITIONS,
    lower_case: bool = False,
    new_names: bool = False,
    padding_side: str = "left",
    ends: bool = True,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Path:
    """Write a model in the layout of sentence-transformers, without that library.

    ``dense`` adds a linear layer of 32 to 16, with further settings of its own where it is a dict; ``pickled``
    keeps its weights in pytorch_model.bin. Without ``ends`` the decoder's tokenizer adds no last token, so that an
    empty text has none. ``new_names`` writes what version 6 writes, else what version 2 to 5 did.
    """
    torch.manual_seed(seed)
    model, tokenizer = _transformer(arch, padding_side, ends)
    save(path, model.to(dtype), tokenizer)
    modes = (pooling,) if isinstance(pooling, str) else pooling
    kinds = ["Transformer", "Pooling", *(["Dense"] if dense else []), *(["Normalize"] if normalize else [])]
    folders = ["", *(f"{place}_{kind}" for place, kind in enumerate(kinds) if place)]
    for kind, folder in zip(kinds, folders, strict=True):
        (path / folder).mkdir(exist_ok=True)
        if kind == "Pooling":
            _write(path / folder / "config.json", _pooling(modes, include_prompt, new_names))
        elif kind == "Dense":
            _make_dense(path / folder, dense if isinstance(dense, dict) else {}, SIZE * len(modes), pickled)
    names = [_NEW[kind] if new_names else _OLD + kind for kind in kinds]
    _write(
        path / "modules.json",
        [
            {"idx": place, "name": str(place), "path": folder, "type": name}
            for place, (folder, name) in enumerate(zip(folders, names, strict=True))
        ],
    )
    _write(path / "sentence_bert_config.json", {"max_seq_length": max_seq_length, "do_lower_case": lower_case})
    _write(
        path / "config_sentence_transformers.json",
        {"prompts": PROMPTS if prompts is None else prompts, "default_prompt_name": default_prompt},
    )
    return path


def _transformer(arch: Architecture, padding_side: str, ends: bool) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if arch == "qwen3":
        decoder = ending_tokenizer(padding_side=padding_side) if ends else byte_level_tokenizer(chat_template=None)
        return Qwen3ForCausalLM(qwen3_config(len(decoder))), decoder
    tokenizer = wordpiece_tokenizer()
    if arch == "roberta":
        # Positions count from the padding's id plus 1, so two more of them than there are places for tokens.
        config = RobertaConfig(**{**bert_config(len(tokenizer)).to_dict(), "max_position_embeddings": POSITIONS + 1})
        return RobertaModel(config), tokenizer
    return BertModel(bert_config(len(tokenizer))), tokenizer


def bert_config(vocabulary: int) -> BertConfig:
    """Return the configuration of a tiny BERT."""
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=SIZE,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        initializer_range=0.2,
    )


def qwen3_config(vocabulary: int) -> Qwen3Config:
    """Return the configuration of a tiny Qwen3."""
    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=SIZE,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=POSITIONS,
        initializer_range=0.2,
    )


def save(path: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Path:
    """Write a model with its tokenizer."""
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def _pooling(modes: tuple[str, ...], include_prompt: bool, new_names: bool) -> dict[str, Any]:
    if new_names:
        names = [_NAMES.get(mode, mode) for mode in modes]
        named = names[0] if len(names) == 1 else names
        return {"embedding_dimension": SIZE, "pooling_mode": named, "include_prompt": include_prompt}
    flags = {flag: mode in modes for mode, flag in _FLAGS.items()}
    return {"word_embedding_dimension": SIZE, **flags, "include_prompt": include_prompt}


def _make_dense(folder: Path, settings: dict[str, Any], inputs: int, pickled: bool) -> None:
    config = {
        "in_features": inputs,
        "out_features": 16,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
        **settings,
    }
    _write(folder / "config.json", config)
    linear = nn.Linear(inputs, config["out_features"], bias=config["bias"])
    weights = {f"linear.{name}": tensor.detach() for name, tensor in linear.named_parameters()}
    if config.get("use_residual") and inputs != config["out_features"]:
        weights["residual.weight"] = nn.Linear(inputs, config["out_features"], bias=False).weight.detach()
    if pickled:
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        save_file(weights, folder / "model.safetensors")


def _write(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")
