"""Scores are those of sentence-transformers' CrossEncoder and of transformers' pipelines, for every kind of model."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import pipeline

from tiny.classifiers import ARCHITECTURES, NLI, make_classifier, make_token_classifier
from tiny.classifying import labels, load_texts, load_tokens, rank, spans

QUERY = "the quick fox?"
TEXTS = ["hello world", "the quick brown fox jumps over", "", "Lazy DOG!", "a tiny cat " * 12, "  querying  ", "fox"]
LONG = "hello the lazy dog " * 60
TOPICS = ["cat", "the lazy dog", "world", "quick"]


def close(scores: Any) -> Any:
    return pytest.approx(scores, abs=1e-5)


def cross_scores(path: Path, query: str, documents: list[str]) -> list[float]:
    """Return what a CrossEncoder says, one document at a time: some models know no padding."""
    model = CrossEncoder(str(path), device="cpu", local_files_only=True)
    found: list[float] = model.predict(
        [(query, one) for one in documents], batch_size=1, show_progress_bar=False
    ).tolist()
    return found


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_relevance_is_that_of_a_cross_encoder(arch: str, tmp_path: Path) -> None:
    make_classifier(tmp_path, labels=("relevant",), arch=arch)
    expected = cross_scores(tmp_path, QUERY, TEXTS)
    assert rank(load_texts(tmp_path), QUERY, *TEXTS) == close(expected)
    assert max(expected) - min(expected) > 1e-3, "scores that are all alike would prove nothing"


@pytest.mark.parametrize(("query", "document"), [("fox", LONG), (LONG, "fox"), (LONG, LONG)])
def test_pairs_that_are_too_long_are_cut_as_a_cross_encoder_does(query: str, document: str, tmp_path: Path) -> None:
    make_classifier(tmp_path, labels=("relevant",))
    assert rank(load_texts(tmp_path), query, document) == close(cross_scores(tmp_path, query, [document]))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.1.0"}},
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Tanh"}},
    ],
)
def test_the_activation_of_the_configuration_is_used(settings: dict[str, Any], tmp_path: Path) -> None:
    make_classifier(tmp_path, labels=("relevant",))
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | settings))
    assert rank(load_texts(tmp_path), QUERY, *TEXTS) == close(cross_scores(tmp_path, QUERY, TEXTS))


@pytest.mark.parametrize("activation", [torch.nn.Sigmoid(), torch.nn.Identity()])
def test_the_layout_of_a_cross_encoder_is_honoured(activation: torch.nn.Module, tmp_path: Path) -> None:
    make_classifier(tmp_path / "plain", labels=("relevant",))
    made = CrossEncoder(
        str(tmp_path / "plain"),
        device="cpu",
        activation_fn=activation,
        prompts={"query": "query: "},
        default_prompt_name="query",
    )
    made.save_pretrained(str(tmp_path / "layout"))
    settings = tmp_path / "layout" / "sentence_bert_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"max_seq_length": 12}))
    expected = cross_scores(tmp_path / "layout", QUERY, [*TEXTS, LONG])
    assert rank(load_texts(tmp_path / "layout"), QUERY, *TEXTS, LONG) == close(expected)
    assert rank(load_texts(tmp_path / "plain"), QUERY, *TEXTS) != close(expected[:-1])


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("bad", "middling", "good"), None),
        (("bad", "good"), "single_label_classification"),
        (("rude", "loud", "long"), "multi_label_classification"),
        (("warmth",), None),
        (("warmth",), "regression"),
    ],
)
def test_labels_are_those_of_the_pipeline(
    names: tuple[str, ...], problem: str | None, arch: str, tmp_path: Path
) -> None:
    make_classifier(tmp_path, labels=names, problem=problem, arch=arch)
    # A decoder's tokenizer puts nothing around texts, so that an empty one has no tokens to judge.
    texts = [text for text in TEXTS if text or arch != "qwen3"]
    reference = pipeline("text-classification", str(tmp_path), device="cpu", top_k=None)
    expected = [{one["label"]: one["score"] for one in found} for found in reference(texts)]
    found = labels(load_texts(tmp_path), *texts)
    assert found == [close(scores) for scores in expected]
    assert [list(scores) for scores in found] == [list(scores) for scores in expected]


def test_pairs_have_the_labels_of_the_pipeline(tmp_path: Path) -> None:
    make_classifier(tmp_path)
    reference = pipeline("text-classification", str(tmp_path), device="cpu", top_k=None)
    # The pipeline takes an empty second text for none at all.
    texts = [text for text in TEXTS if text]
    expected = reference([{"text": QUERY, "text_pair": text} for text in texts])
    found = labels(load_texts(tmp_path), *((QUERY, text) for text in texts))
    assert found == [close({one["label"]: one["score"] for one in scores}) for scores in expected]


@pytest.mark.parametrize("arch", ["bert", "bart", "roberta"])
@pytest.mark.parametrize("names", [NLI, ("ENTAILMENT", "not_entailment"), ("no", "Entailed", "maybe")])
@pytest.mark.parametrize(
    ("topics", "fields"),
    [(TOPICS, {}), (TOPICS, {"multi_label": True}), (TOPICS, {"hypothesis_template": "on {}!"}), (["cat"], {})],
)
def test_labels_of_a_request_have_the_scores_of_the_zero_shot_pipeline(
    topics: list[str], fields: dict[str, Any], names: tuple[str, ...], arch: str, tmp_path: Path
) -> None:
    make_classifier(tmp_path, labels=names, arch=arch)
    # The pipeline refuses an empty text.
    texts = [*filter(None, TEXTS), LONG]
    reference = pipeline("zero-shot-classification", str(tmp_path), device="cpu")
    answers = reference(texts, candidate_labels=topics, **fields)
    expected = [dict(zip(one["labels"], one["scores"], strict=True)) for one in answers]
    found = labels(load_texts(tmp_path), *texts, labels=tuple(topics), **fields)
    assert found == [close(scores) for scores in expected]


@pytest.mark.parametrize("arch", ["bert", "roberta", "distilbert", "deberta-v2", "fnet", "xlnet", "qwen3"])
def test_spans_are_those_of_the_pipeline(arch: str, tmp_path: Path) -> None:
    make_token_classifier(tmp_path, arch=arch)
    texts = [*TEXTS[:2], "Öäü! The 世界 of dogs", "Lazy DOG's   cat", "x", LONG]
    reference = pipeline("token-classification", str(tmp_path), device="cpu", aggregation_strategy="simple")
    expected = [
        [(one["entity_group"], close(one["score"]), one["start"], one["end"]) for one in found]
        for found in reference(texts)
    ]
    assert any(expected)
    assert spans(load_tokens(tmp_path), *texts) == expected


@pytest.mark.parametrize("names", [("O", "PER", "LOC"), ("NOUN", "VERB"), ("O", "E-PER", "B-X-Y", "I-X-Y")])
def test_labels_without_marks_are_joined_as_the_pipeline_does(names: tuple[str, ...], tmp_path: Path) -> None:
    make_token_classifier(tmp_path, labels=names)
    reference = pipeline("token-classification", str(tmp_path), device="cpu", aggregation_strategy="simple")
    expected = [
        [(one["entity_group"], close(one["score"]), one["start"], one["end"]) for one in found]
        for found in reference([*TEXTS[:2], LONG])
    ]
    assert spans(load_tokens(tmp_path), *TEXTS[:2], LONG) == expected
