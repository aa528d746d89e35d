"""Classifiers of texts and of words in them: pairs and texts as long as the model reads, more than one batch holds."""

from functools import partial
from typing import Any

from bench.memory.case import Case, Work
from bench.memory.encoders import BASE, MINILM, texts, write_bert
from bench.memory.tokenizers import words
from universal_core import ClassifyRequest, ClassifyTokensRequest, RerankRequest

_TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")


def cases() -> list[Case]:
    """Return the cases of classifiers and rerankers."""
    ranks = partial(write_bert, "BertForSequenceClassification", {**MINILM, **_labels("score")})
    classifies = partial(write_bert, "BertForSequenceClassification", {**BASE, **_labels("bad", "good")})
    names = partial(write_bert, "BertForTokenClassification", {**BASE, **_labels(*_TAGS)})
    return [
        Case("ms-marco-MiniLM-L6", ranks, _ranking),
        Case("BERT-base classifier", classifies, _classifying),
        Case("BERT-base classifier bfloat16", classifies, _classifying, {"dtype": "bfloat16"}),
        Case("BERT-base NER", names, _naming),
    ]


def _labels(*names: str) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: place for place, name in enumerate(names)}}


def _ranking() -> list[Work]:
    requests = [RerankRequest(query=words(20, seed), documents=texts(480, 8, seed)) for seed in range(4)]
    return [Work("rerank", [*requests, RerankRequest(query=words(8, "short"), documents=texts(8, 256, "short"))])]


def _classifying() -> list[Work]:
    return [Work("classify", [ClassifyRequest(input=texts(510, 8, seed)) for seed in range(4)])]


def _naming() -> list[Work]:
    return [Work("classify_tokens", [ClassifyTokensRequest(input=texts(510, 8, seed)) for seed in range(4)])]
