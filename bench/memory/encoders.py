"""Encoders of texts: requests of texts as long as the model reads and of short ones, more than one batch holds."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bench.memory.case import Case, Work
from bench.memory.tokenizers import bert_tokenizer, unigram_tokenizer, words
from bench.memory.weights import random_model
from universal_core import EmbedRequest

MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
MULTILINGUAL = {**LARGE, "vocab_size": 250002, "max_position_embeddings": 514, "type_vocab_size": 1}


def cases() -> list[Case]:
    """Return the cases of embedding models."""
    return [
        Case("all-MiniLM-L6", partial(write_bert, "BertModel", MINILM), work),
        Case("all-MiniLM-L6 float32", partial(write_bert, "BertModel", MINILM), work, {"dtype": "float32"}),
        Case("all-MiniLM-L6 OpenVINO", partial(write_bert, "BertModel", MINILM), work, {"engine": "openvino"}),
        Case("bge-base", partial(write_bert, "BertModel", BASE), work),
        Case("bge-base float32", partial(write_bert, "BertModel", BASE), work, {"dtype": "float32"}),
        Case("e5-large", partial(write_bert, "BertModel", LARGE), work),
        Case("multilingual-e5-large", partial(_write_roberta, "XLMRobertaModel", MULTILINGUAL), work),
    ]


def write_bert(name: str, shape: Mapping[str, Any], path: Path) -> Path:
    """Write a BERT of a class of transformers, with its tokenizer."""
    return _write(name, "BertConfig", shape, bert_tokenizer, path)


def _write_roberta(name: str, shape: Mapping[str, Any], path: Path) -> Path:
    return _write(name, "XLMRobertaConfig", shape, unigram_tokenizer, path)


def _write(name: str, config: str, shape: Mapping[str, Any], tokenizer: Callable[[], Any], path: Path) -> Path:
    import transformers

    return random_model(path, getattr(transformers, name), getattr(transformers, config)(**shape), tokenizer())


def texts(length: int, count: int, seed: object) -> tuple[str, ...]:
    """Return different texts of so many tokens."""
    return tuple(words(length, (seed, place)) for place in range(count))


def work() -> list[Work]:
    """Send long texts and short ones, in several requests at once."""
    together = [EmbedRequest(input=texts(510, 8, seed)) for seed in range(2)]
    return [Work("embed", [*together, EmbedRequest(input=texts(16, 256, "short"))])]
