"""Vectors and scores are those of transformers on the same weights."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy
import pytest

from tiny.causal import make_llama, make_qwen3
from tiny.classifiers import make_classifier
from tiny.embedding import real_model, vectors
from tiny.encoders import make_bert
from tiny.gguf import JUDGE, make_gguf_from_transformers
from tiny.pooled import load, rank
from universal_core import TokenizeRequest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TEXTS = [
    "hello world",
    "The quick brown fox jumps over the lazy dog.",
    "tiny",
    "a query, and a passage: is this (really) one? " * 3,
    "é世 Ünïcode, 1234567890!",
]


def cosine(one: Any, other: Any) -> float:
    """Return the lowest cosine of any two rows."""
    products = (one * other).sum(axis=1)
    return float((products / numpy.linalg.norm(one, axis=1) / numpy.linalg.norm(other, axis=1)).min())


def reference(folder: Path, pooling: str, texts: list[str]) -> Any:
    """Return what transformers gives, one text at a time: ``[texts, size]``, of length 1."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    rows = []
    with torch.inference_mode():
        for text in texts:
            hidden = model(torch.tensor([tokenizer.encode(text)])).last_hidden_state[0]
            rows.append({"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}[pooling])
        return torch.nn.functional.normalize(torch.stack(rows), dim=-1).numpy()


@pytest.mark.parametrize(
    ("make", "pooling"),
    [
        (make_bert, "mean"),
        (make_bert, "cls"),
        (make_llama, "last"),
        (make_llama, "mean"),
        (make_qwen3, "last"),
    ],
)
def test_vectors_are_those_of_transformers(tmp_path: Path, make: Callable[[Path], Path], pooling: str) -> None:
    folder = make(tmp_path / "transformers")
    file = make_gguf_from_transformers(tmp_path / "gguf" / "model.gguf", folder, pooling=pooling)
    with closing(load(file, flash_attn="off")) as model:
        found, expected = vectors(model, TEXTS), reference(folder, pooling, TEXTS)
    assert cosine(found, expected) > 0.9999
    assert numpy.abs(found - expected).max() < 1e-3


def test_flash_attention_changes_next_to_nothing(tmp_path: Path) -> None:
    folder = make_bert(tmp_path / "transformers")
    file = make_gguf_from_transformers(tmp_path / "gguf" / "model.gguf", folder)
    with closing(load(file, flash_attn="on")) as model:
        assert cosine(vectors(model, TEXTS), reference(folder, "mean", TEXTS)) > 0.9999


def test_a_real_model_gives_the_vectors_of_transformers(tmp_path: Path) -> None:
    file = make_gguf_from_transformers(tmp_path / "gguf" / "all-MiniLM-L6-v2.gguf", real_model(), pooling="mean")
    with closing(load(file)) as model:
        found, expected = vectors(model, TEXTS), reference(real_model(), "mean", TEXTS)
    assert cosine(found, expected) > 0.9999
    assert numpy.abs(found - expected).max() < 1e-3


def test_tokens_are_those_of_the_original_tokenizer(tmp_path: Path) -> None:
    folder = make_bert(tmp_path / "transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with closing(load(make_gguf_from_transformers(tmp_path / "gguf" / "model.gguf", folder))) as model:
        for text in TEXTS:
            assert list(model.tokenize(TokenizeRequest(text=text)).tokens) == tokenizer.encode(text)


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("ranker"), labels=("relevant",))


def test_scores_are_those_of_transformers_through_a_sigmoid(tmp_path: Path, ranker: Path) -> None:
    file = make_gguf_from_transformers(tmp_path / "gguf" / "model.gguf", ranker, pooling="rank")
    with closing(load(file)) as model:
        result = rank(model, "what is the quick fox?", *TEXTS)
    expected, tokens = scores_of_transformers(ranker, "what is the quick fox?", TEXTS)
    assert numpy.abs(numpy.array(result.scores) - expected).max() < 1e-3
    assert numpy.ptp(expected) > 0.01, "scores that are all alike would prove nothing"
    assert result.usage.prompt_tokens == tokens


def scores_of_transformers(folder: Path, query: str, documents: list[str]) -> tuple[Any, int]:
    """Return the score of each pair from 0 to 1, and how many tokens all pairs have.

    llama.cpp knows one type of token, so the document's have that of the query's here as well.
    """
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    pairs = [tokenizer.encode(query, document) for document in documents]
    with torch.inference_mode():
        scores = [torch.sigmoid(model(torch.tensor([pair])).logits[0, 0]).item() for pair in pairs]
    return numpy.array(scores), sum(map(len, pairs))


def test_a_decoder_that_judges_gives_the_probability_of_yes(tmp_path: Path) -> None:
    folder = make_qwen3(tmp_path / "transformers")
    file = make_gguf_from_transformers(tmp_path / "gguf" / "model.gguf", folder, pooling="rank")
    with closing(load(file)) as model, closing(load(file, n_batch=16)) as reads_in_parts:
        result = rank(model, "what is the quick fox?", *TEXTS)
        assert rank(reads_in_parts, "what is the quick fox?", *TEXTS).scores == pytest.approx(result.scores, abs=1e-2)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    reference = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    prompts = [JUDGE.replace("{query}", "what is the quick fox?").replace("{document}", text) for text in TEXTS]
    rows = [tokenizer.encode(prompt) for prompt in prompts]
    judges = tokenizer.convert_tokens_to_ids(["y", "n"])
    with torch.inference_mode():
        expected = [reference(torch.tensor([row])).logits[0, -1, judges].softmax(-1)[0].item() for row in rows]
    assert numpy.abs(numpy.array(result.scores) - expected).max() < 1e-2
    assert numpy.ptp(expected) > 0.01, "scores that are all alike would prove nothing"
    assert result.usage.prompt_tokens == sum(map(len, rows))


def test_many_documents_get_the_scores_that_each_gets_alone(tmp_path: Path, ranker: Path) -> None:
    file = make_gguf_from_transformers(tmp_path / "gguf" / "model.gguf", ranker, pooling="rank")
    documents = [" ".join(TEXTS[0].split() * (1 + place % 7)) + str(place) for place in range(60)]
    with closing(load(file)) as model:
        together = rank(model, "hello", *documents).scores
        alone = [rank(model, "hello", document).scores[0] for document in documents]
    assert numpy.abs(numpy.array(together) - alone).max() < 1e-3
