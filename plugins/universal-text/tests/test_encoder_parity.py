"""In float32 the vectors are those of sentence-transformers, for every layout and on a real model."""

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from sentence_transformers import SentenceTransformer

from tiny.embedding import load, real_model, vectors
from tiny.encoders import make_bert, make_sentence_transformer

TEXTS = ["hello world", "the quick brown fox jumps over", "", "Lazy DOG!", "a tiny cat " * 60, "  querying  "]
IDENTITY = "torch.nn.modules.linear.Identity"
LAYOUTS: dict[str, dict[str, Any]] = {
    "cls": {"pooling": "cls"},
    "max": {"pooling": "max"},
    "mean": {"pooling": "mean"},
    "mean_sqrt": {"pooling": "mean_sqrt", "normalize": False},
    "weightedmean": {"pooling": "weightedmean"},
    "last": {"pooling": "last"},
    "two poolings": {"pooling": ("cls", "mean"), "dense": True},
    "names of version 6": {"pooling": "mean_sqrt", "dense": True, "new_names": True},
    "two poolings, names of version 6": {"pooling": ("mean", "last"), "new_names": True},
    "dense": {"dense": True},
    "pickled dense": {"dense": True, "pickled": True},
    "residual dense": {"dense": {"use_residual": True, "activation_function": IDENTITY}, "normalize": False},
    "residual of the same size": {"dense": {"out_features": 32, "use_residual": True, "bias": False}},
    "truncation": {"max_seq_length": 12},
    "truncation by the tokenizer": {"max_seq_length": None},
    "lower case": {"arch": "qwen3", "pooling": "last", "lower_case": True},
    "default prompt": {"default_prompt": "passage"},
    "unpooled prompt": {"default_prompt": "passage", "include_prompt": False},
    "unpooled prompt, cls": {"default_prompt": "passage", "include_prompt": False, "pooling": "cls"},
    "unpooled prompt, weightedmean": {"default_prompt": "passage", "include_prompt": False, "pooling": "weightedmean"},
    "unpooled prompt, decoder": {"default_prompt": "passage", "include_prompt": False, "arch": "qwen3"},
    "positions that start late": {"arch": "roberta", "max_seq_length": None},
    "decoder": {"arch": "qwen3", "pooling": "last"},
    "decoder padded on the right": {"arch": "qwen3", "pooling": "last", "padding_side": "right"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_vectors_are_those_of_sentence_transformers(layout: str, tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path, **LAYOUTS[layout])
    ours = vectors(load(tmp_path), TEXTS)
    assert numpy.abs(ours - reference(tmp_path, TEXTS)).max() < 1e-5


def test_vectors_without_normalizing_are_those_of_sentence_transformers(tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path, normalize=False)
    ours = vectors(load(tmp_path), TEXTS, normalize=False)
    assert numpy.abs(ours - reference(tmp_path, TEXTS, normalize=False)).max() < 1e-5


def test_normalizing_can_be_left_out_where_the_layout_has_it(tmp_path: Path) -> None:
    plain = vectors(load(make_sentence_transformer(tmp_path / "plain", normalize=False)), TEXTS, normalize=False)
    ours = vectors(load(make_sentence_transformer(tmp_path / "normalized")), TEXTS, normalize=False)
    assert numpy.array_equal(ours, plain)
    assert numpy.linalg.norm(ours, axis=1).min() > 1.1


@pytest.mark.parametrize("masked_lm", [False, True])
def test_a_bare_encoder_is_pooled_by_the_mean(masked_lm: bool, tmp_path: Path) -> None:
    make_bert(tmp_path, masked_lm=masked_lm)
    assert numpy.abs(vectors(load(tmp_path), TEXTS) - reference(tmp_path, TEXTS)).max() < 1e-5


def test_the_configured_pooling_replaces_the_one_of_the_layout(tmp_path: Path) -> None:
    mean, cls = tmp_path / "mean", tmp_path / "cls"
    make_sentence_transformer(mean, pooling="mean")
    make_sentence_transformer(cls, pooling="cls")
    assert numpy.array_equal(vectors(load(mean, pooling="cls"), TEXTS), vectors(load(cls), TEXTS))


@pytest.mark.parametrize("name", ["query", "passage", "document"])
def test_a_named_prompt_is_put_before_each_text(name: str, tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path, default_prompt="passage")
    ours = vectors(load(tmp_path), TEXTS, prompt_name=name)
    assert numpy.abs(ours - reference(tmp_path, TEXTS, prompt_name=name)).max() < 1e-5


def test_a_real_model_equals_sentence_transformers() -> None:
    texts = paragraphs()
    ours = vectors(load(real_model()), texts)
    assert numpy.abs(ours - reference(real_model(), texts)).max() < 1e-5


def test_a_real_model_keeps_its_directions_in_bfloat16() -> None:
    texts = paragraphs()
    ours = vectors(load(real_model(), dtype="bfloat16"), texts)
    assert (ours * vectors(load(real_model()), texts)).sum(axis=1).min() >= 0.9999


def test_a_checkpoint_in_bfloat16_stays_in_it(tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path / "wide", arch="qwen3", pooling="last")
    make_sentence_transformer(tmp_path / "narrow", arch="qwen3", pooling="last", dtype=torch.bfloat16)
    wide, narrow = load(tmp_path / "wide"), load(tmp_path / "narrow", dtype="bfloat16")
    assert (vectors(wide, TEXTS) * vectors(narrow, TEXTS)).sum(axis=1).min() > 0.99


def paragraphs() -> list[str]:
    """Return real texts of many lengths: the model card's, a single letter, and one that has to be cut."""
    card = (real_model() / "README.md").read_text(encoding="utf-8")
    parts = [part for part in card.split("\n\n") if part.strip()]
    return [*parts[:24], "a", "", "hello", card]


def reference(path: Path, texts: list[str], *, normalize: bool = True, prompt_name: str | None = None) -> Any:
    """Return what sentence-transformers makes of the texts."""
    model = SentenceTransformer(str(path), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32})
    return model.encode(texts, normalize_embeddings=normalize, prompt_name=prompt_name, show_progress_bar=False)
