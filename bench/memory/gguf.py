"""GGUF models with every slot busy: answers, vectors and scores of texts that are as long as may be."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bench.llama.models import BERT_BASE, text_model, write_bert
from bench.memory.case import Case, Work
from bench.vocabulary import text
from universal_core import CompletionRequest, EmbedRequest, RerankRequest

SLOTS = 16
LONG = 1500
THREADS = 2


def cases() -> list[Case]:
    """Return the cases of models that write, and of those that pool."""
    wide, narrow = {"n_ctx": 8192, "slots": 4}, {"n_ctx": 4096, "slots": 4}
    return [
        _writer("tiny", "Q8_0", {"slots": 2}),
        _writer("qwen3-0.6b", "Q4_K_M", {}),
        _writer("qwen3-0.6b", "Q8_0", {}),
        _writer("qwen3-0.6b", "Q4_K_M", wide),
        _writer("qwen3-0.6b", "Q8_0", wide),
        _writer("qwen3-0.6b", "Q8_0", {**wide, "cache_type_k": "q8_0", "cache_type_v": "q8_0"}),
        _writer("qwen3-0.6b", "Q8_0", {**narrow, "flash_attn": "off"}),
        _writer("qwen3-0.6b", "Q4_K_M", {**narrow, "use_mmap": False}),
        _writer("llama-1b", "F16", wide),
        _writer("llama-1b", "Q4_K_M", narrow),
        Case("bert-base F16 vectors", partial(_write_bert, ranks=False), _vectors, threads="n_threads"),
        Case("bert-base F16 scores", partial(_write_bert, ranks=True), _scores, threads="n_threads"),
    ]


def _writer(shape: str, kind: str, options: Mapping[str, Any]) -> Case:
    said = "".join(f" {name} {value}" for name, value in options.items())
    slots = options.get("slots", SLOTS)
    return Case(
        f"{shape} {kind}{said}",
        partial(_write_text, shape=shape, kind=kind),
        partial(_texts, slots, options.get("n_ctx", 2048)),
        options,
        threads="n_threads",
    )


def _write_text(path: Path, shape: str, kind: str) -> Path:
    model = text_model(path, shape, kind, THREADS)
    for other in path.glob("*.gguf"):
        if other != model:
            other.unlink()
    return model


def _write_bert(path: Path, ranks: bool) -> Path:
    path.mkdir(parents=True)
    write_bert(path / "bert-base-F16.gguf", BERT_BASE, ranks=ranks)
    return path / "bert-base-F16.gguf"


def _texts(slots: int, context: int) -> list[Work]:
    """Read a prompt in every slot, a long one, and one that is scored: the cache has its room from the beginning."""
    answer = 8
    short = [CompletionRequest(prompt=text(500, seed), max_tokens=answer) for seed in range(slots)]
    long = [CompletionRequest(prompt=text(min(context, LONG) - answer - 8, "long"), max_tokens=answer)]
    scored = [CompletionRequest(prompt=text(500, "scored"), max_tokens=1, echo=True, logprobs=1)]
    return [Work("complete", short), Work("complete", long), Work("complete", scored)]


def _vectors() -> list[Work]:
    short = tuple(text(100, seed) for seed in range(64))
    return [Work("embed", [EmbedRequest(input=short)]), Work("embed", [EmbedRequest(input=(text(500, "long"),))])]


def _scores() -> list[Work]:
    documents = tuple(text(480, seed) for seed in range(8))
    return [Work("rerank", [RerankRequest(query=text(20, "query"), documents=documents)])]
