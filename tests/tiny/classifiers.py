"""Tiny classifiers with real configurations: random weights that real libraries load."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BartConfig,
    DebertaV2Config,
    DistilBertConfig,
    FNetConfig,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    Qwen3ForCausalLM,
    RobertaConfig,
    XLNetConfig,
)

from tiny.encoders import POSITIONS, SIZE, bert_config, qwen3_config, save, wordpiece_tokenizer
from tiny.tokenizers import byte_level_tokenizer

NLI = ("contradiction", "neutral", "entailment")
JUDGE = """\
{%- for turn in messages %}<|im_start|>{{ turn.role }}: \
{% if turn.content is string %}{{ turn.content }}{% else %}{{ turn.content[0].text }}{% endif %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}"""
PEOPLE = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
ARCHITECTURES = ("bert", "roberta", "distilbert", "deberta-v2", "fnet", "xlnet", "bart", "qwen3")


def make_classifier(
    path: Path,
    *,
    labels: Sequence[str] = NLI,
    arch: str = "bert",
    problem: str | None = None,
    template: str | None = None,
    padded: bool = False,
    seed: int = 0,
) -> Path:
    """Write a classifier of texts; with one label it scores how well a document answers a query.

    A decoder may have a chat ``template``, and is ``padded`` where it knows the token of its padding.
    """
    settings = {"problem_type": problem, **({"pad_token_id": 3} if padded else {})}
    return _make(path, AutoModelForSequenceClassification, labels, arch, seed, template, **settings)


def make_token_classifier(path: Path, *, labels: Sequence[str] = PEOPLE, arch: str = "bert", seed: int = 0) -> Path:
    """Write a classifier of tokens."""
    return _make(path, AutoModelForTokenClassification, labels, arch, seed)


def make_judge(
    path: Path,
    *,
    template: str = JUDGE,
    content: str = "flat",
    verdict: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    seed: int = 0,
) -> Path:
    """Write a decoder that says yes or no about documents, in the layout of sentence-transformers.

    ``content`` is ``flat`` or ``structured``; ``verdict`` and ``settings`` replace what is in the files of LogitScore
    and of the transformer.
    """
    torch.manual_seed(seed)
    tokenizer = byte_level_tokenizer(chat_template=template, context=POSITIONS, pieces=("yes", "no"))
    save(path, Qwen3ForCausalLM(qwen3_config(len(tokenizer))), tokenizer)
    yes, no = (tokenizer.convert_tokens_to_ids(word) for word in ("yes", "no"))
    way = {"method": "forward", "method_output_name": "logits"}
    package = "sentence_transformers."
    documents: dict[str, Any] = {
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": f"{package}base.modules.transformer.Transformer"},
            {"idx": 1, "name": "1", "path": "1_LogitScore", "type": f"{package}cross_encoder.modules.LogitScore"},
        ],
        "1_LogitScore/config.json": {"true_token_id": yes, "false_token_id": no, **(verdict or {})},
        "sentence_bert_config.json": {
            "transformer_task": "text-generation",
            "modality_config": {"text": way, "message": {**way, "format": content}},
            "module_output_name": "causal_logits",
            "processing_kwargs": {"chat_template": {"add_generation_prompt": True}},
            **(settings or {}),
        },
        "config_sentence_transformers.json": {
            "model_type": "CrossEncoder",
            "activation_fn": "torch.nn.modules.activation.Sigmoid",
            "prompts": {"query": "Does it answer?"},
            "default_prompt_name": "query",
        },
    }
    for name, document in documents.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(json.dumps(document), encoding="utf-8")
    return path


def _make(
    path: Path,
    auto_class: Any,
    labels: Sequence[str],
    arch: str,
    seed: int,
    template: str | None = None,
    **settings: Any,
) -> Path:
    torch.manual_seed(seed)
    tokenizer = _tokenizer(arch, template)
    config = _config(arch, len(tokenizer))
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: place for place, label in enumerate(labels)}
    for name, value in settings.items():
        setattr(config, name, value)
    return save(path, auto_class.from_config(config), tokenizer)


def _tokenizer(arch: str, template: str | None) -> PreTrainedTokenizerBase:
    if arch == "qwen3":
        decoder: PreTrainedTokenizerBase = byte_level_tokenizer(chat_template=template, context=POSITIONS)
        return decoder
    tokenizer = wordpiece_tokenizer()
    if arch not in ("bert", "fnet", "xlnet", "deberta-v2"):
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return tokenizer


def _config(arch: str, vocabulary: int) -> PretrainedConfig:
    if arch == "qwen3":
        return qwen3_config(vocabulary)
    plain = bert_config(vocabulary)
    if arch == "bert":
        return plain
    shape = {
        "vocab_size": vocabulary,
        "hidden_size": SIZE,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": POSITIONS,
        "initializer_range": 0.2,
        "pad_token_id": 0,
    }
    match arch:
        case "roberta":
            # Positions count from the padding's id plus 1.
            return RobertaConfig(**{**shape, "max_position_embeddings": POSITIONS + 1})
        case "distilbert":
            return DistilBertConfig(**shape, dim=SIZE, n_layers=2, n_heads=2, hidden_dim=64)
        case "deberta-v2":
            return DebertaV2Config(**shape, relative_attention=True, pos_att_type=["p2c", "c2p"], type_vocab_size=0)
        case "fnet":
            return FNetConfig(**shape)
        case "xlnet":
            return XLNetConfig(
                vocab_size=vocabulary, d_model=SIZE, n_layer=2, n_head=2, d_inner=64, initializer_range=0.2
            )
        case "bart":
            return BartConfig(
                vocab_size=vocabulary,
                d_model=SIZE,
                encoder_layers=2,
                decoder_layers=2,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                encoder_ffn_dim=64,
                decoder_ffn_dim=64,
                max_position_embeddings=POSITIONS,
                init_std=0.2,
                pad_token_id=0,
                bos_token_id=2,
                eos_token_id=3,
                decoder_start_token_id=3,
                forced_eos_token_id=None,
            )
    raise ValueError(arch)
