"""What a request may ask of a classifier, alone and beside others."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tiny.classifiers import make_classifier, make_token_classifier
from tiny.classifying import labels, load_texts, load_tokens, rank, result, spans
from tiny.encoders import POSITIONS
from universal_core import (
    BadRequest,
    ClassifyRequest,
    ClassifyResult,
    ClassifyTokensRequest,
    ContextLengthExceeded,
    DetokenizeRequest,
    LoadFailed,
    ModelInfo,
    ModelRef,
    RerankRequest,
    TokenizeRequest,
    UniversalError,
)
from universal_text.classifier import names, texts
from universal_text.classifier.names import TokenClassifier
from universal_text.classifier.options import ClassifierOptions
from universal_text.classifier.texts import TextClassifier

TEXTS = ["hello world", "the quick brown fox jumps over the lazy dog", "", "cat", "a tiny cat " * 12, "hello world"]
LONG = "cat " * 500


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> TextClassifier:
    return load_texts(make_classifier(tmp_path_factory.mktemp("ranker"), labels=("relevant",)))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> TextClassifier:
    return load_texts(make_classifier(tmp_path_factory.mktemp("classifier")))


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> TokenClassifier:
    return load_tokens(make_token_classifier(tmp_path_factory.mktemp("finder")))


def near(found: dict[str, float]) -> Any:
    return pytest.approx(found, abs=1e-5)


@pytest.mark.parametrize("arch", ["bert", "fnet", "xlnet", "bart", "qwen3"])
def test_texts_together_have_the_scores_that_each_has_alone(arch: str, tmp_path: Path) -> None:
    model = load_texts(make_classifier(tmp_path, arch=arch))
    texts = [text for text in TEXTS if text or arch != "qwen3"]
    inputs = [*texts, ("cat", "a dog"), ("hello", "the lazy dog"), "an end </s> or two [SEP] more"]
    assert labels(model, *inputs) == [near(labels(model, one)[0]) for one in inputs]


def test_a_decoder_that_knows_its_padding_reads_texts_together(tmp_path: Path) -> None:
    make_classifier(tmp_path / "alone", arch="qwen3")
    make_classifier(tmp_path / "together", arch="qwen3", padded=True)
    texts = [text for text in TEXTS if text]
    alone = labels(load_texts(tmp_path / "alone"), *texts)
    assert labels(load_texts(tmp_path / "together"), *texts) == [near(scores) for scores in alone]


def test_requests_together_have_the_answers_that_each_has_alone(
    ranker: TextClassifier, classifier: TextClassifier, finder: TokenClassifier
) -> None:
    rankings = [RerankRequest(query=text, documents=tuple(TEXTS[at:])) for at, text in enumerate(TEXTS)]
    for request, answer in zip(rankings, ranker.rerank(rankings), strict=True):
        alone = result(ranker.rerank([request]))
        assert answer.usage == alone.usage  # type: ignore[union-attr]
        assert answer.scores == pytest.approx(alone.scores, abs=1e-5)  # type: ignore[union-attr]
    questions = [ClassifyRequest(input=tuple(TEXTS[at:]), labels=("a", "bc") * (at % 2)) for at in range(len(TEXTS))]
    for question, told in zip(questions, classifier.classify(questions), strict=True):
        assert isinstance(told, ClassifyResult)
        found = [{one.label: one.score for one in predictions} for predictions in told.predictions]
        assert found == [near(scores) for scores in labels(classifier, *question.input, labels=question.labels)]
    searches = [ClassifyTokensRequest(input=tuple(TEXTS[at:])) for at in range(len(TEXTS))]
    for search, places in zip(searches, finder.classify_tokens(searches), strict=True):
        found_places = [[(one.label, one.start, one.end) for one in of_text] for of_text in places.spans]  # type: ignore[union-attr]
        assert found_places == [[(one[0], *one[2:]) for one in of_text] for of_text in spans(finder, *search.input)]


def test_a_small_batch_changes_nothing(tmp_path: Path) -> None:
    make_classifier(tmp_path)
    one_by_one, together = load_texts(tmp_path, batch_tokens=1), load_texts(tmp_path)
    assert labels(one_by_one, *TEXTS) == [near(scores) for scores in labels(together, *TEXTS)]


def test_a_bad_request_fails_alone(classifier: TextClassifier) -> None:
    good = ClassifyRequest(input=("hello", "cat"))
    bad = [
        ClassifyRequest(input=("hello",), labels=("cat", "x " * POSITIONS)),
        ClassifyRequest(input=("hello", ("a", "b")), labels=("cat",)),
    ]
    answers = classifier.classify([good, *bad, good])
    assert [type(answer) for answer in answers] == [ClassifyResult, ContextLengthExceeded, BadRequest, ClassifyResult]
    assert answers[0] == answers[-1]


def test_a_label_that_leaves_no_room_is_refused_by_its_place(classifier: TextClassifier) -> None:
    with pytest.raises(ContextLengthExceeded, match=f"has {POSITIONS} tokens, and this model reads 125") as caught:
        labels(classifier, "hello", labels=("cat", "x " * POSITIONS), hypothesis_template="{}")
    assert caught.value.param == "candidate_labels[1]"
    assert len(labels(classifier, LONG, labels=("cat", "x " * 100))[0]) == 2


def test_braces_of_a_template_that_are_no_place_stay(classifier: TextClassifier) -> None:
    braces = labels(classifier, "hello", labels=("cat", "dog"), hypothesis_template="{0} {x} {} {{")
    assert braces != labels(classifier, "hello", labels=("cat", "dog"), hypothesis_template="{} {{")


def test_top_k_tells_only_the_likeliest(classifier: TextClassifier) -> None:
    everything = labels(classifier, *TEXTS)
    assert labels(classifier, *TEXTS, top_k=1) == [dict(list(scores.items())[:1]) for scores in everything]
    assert labels(classifier, *TEXTS, top_k=99) == everything
    assert [len(scores) for scores in labels(classifier, *TEXTS, labels=("a", "b", "c"), top_k=2)] == [2] * len(TEXTS)


@pytest.mark.parametrize(
    ("ask", "param"),
    [
        (lambda model: labels(model, "hello", ""), "input[1]"),
        (lambda model: labels(model, "hello", ("", "")), "input[1]"),
        (lambda model: model.rerank([RerankRequest(query="", documents=("a", "", ""))])[0], "documents[1]"),
    ],
)
def test_what_has_no_tokens_is_refused_by_its_place(
    ask: Callable[[TextClassifier], Any], param: str, tmp_path: Path
) -> None:
    model = load_texts(make_classifier(tmp_path, arch="qwen3"))
    try:
        error = ask(model)
    except BadRequest as raised:
        error = raised
    assert isinstance(error, BadRequest)
    assert error.param == param


def test_in_a_text_without_tokens_nothing_is_found(tmp_path: Path) -> None:
    model = load_tokens(make_token_classifier(tmp_path, labels=("NOUN", "VERB"), arch="qwen3"))
    first, second, third = spans(model, "hello", "", "hello")
    assert second == []
    assert first == third != []


def test_usage_counts_the_tokens_that_were_read(
    ranker: TextClassifier, classifier: TextClassifier, finder: TokenClassifier
) -> None:
    def read(answers: list[Any]) -> int:
        tokens: int = result(answers).usage.prompt_tokens
        return tokens

    assert read(ranker.rerank([RerankRequest(query="cat", documents=("dog", "hello world", ""))])) == 5 + 6 + 4
    assert read(classifier.classify([ClassifyRequest(input=("cat", ("cat", "dog")))])) == 3 + 5
    asked = ClassifyRequest(input=("cat", "dog"), labels=("dog", "hello world"), hypothesis_template="{}")
    assert read(classifier.classify([asked])) == 2 * (5 + 6)
    assert read(classifier.classify([ClassifyRequest(input=(LONG,))])) == POSITIONS
    assert read(finder.classify_tokens([ClassifyTokensRequest(input=("cat", LONG))])) == 3 + POSITIONS


def test_the_configured_length_cuts_sooner(tmp_path: Path) -> None:
    make_classifier(tmp_path, labels=("relevant",))
    model = load_texts(tmp_path, max_length=8)
    assert result(model.rerank([RerankRequest(query="cat", documents=(LONG,))])).usage.prompt_tokens == 8
    assert rank(model, "cat", "dog " * 4) == pytest.approx(rank(model, "cat", "dog " * 40), abs=1e-6)


def test_a_length_beyond_the_positions_is_refused(tmp_path: Path) -> None:
    make_classifier(tmp_path)
    with pytest.raises(LoadFailed, match=f"{POSITIONS + 1}.*{POSITIONS} positions"):
        load_texts(tmp_path, max_length=POSITIONS + 1)


def test_an_activation_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    make_classifier(tmp_path, labels=("relevant",))
    config = json.loads((tmp_path / "config.json").read_text())
    config["sentence_transformers"] = {"activation_fn": "os.system"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(LoadFailed, match=r"os\.system"):
        load_texts(tmp_path)


def test_weights_without_a_head_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = make_classifier(tmp_path) / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(file).items() if not name.startswith("classifier")}
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(LoadFailed, match=r"lack 2 of the model's weights \(classifier.bias"):
        load_texts(tmp_path)


def test_a_model_that_is_not_here_is_not_loaded() -> None:
    with pytest.raises(LoadFailed, match="not on this machine"):
        TextClassifier(ModelInfo(id="x/y", ref=ModelRef.parse("x/y"), source="test"), ClassifierOptions())


def test_half_precision_is_close(tmp_path: Path) -> None:
    make_classifier(tmp_path, labels=("relevant",))
    narrow = load_texts(tmp_path, dtype="bfloat16")
    assert rank(narrow, "fox", *TEXTS) == pytest.approx(rank(load_texts(tmp_path), "fox", *TEXTS), abs=0.05)


def test_tokens_are_shown(classifier: TextClassifier, finder: TokenClassifier) -> None:
    for model in (classifier, finder):
        tokens = model.tokenize(TokenizeRequest(text="hello world")).tokens
        assert len(tokens) == 4
        assert "hello world" in model.detokenize(DetokenizeRequest(tokens=tokens)).text


def test_a_ranking_costs_the_tokens_that_are_read_for_it(ranker: TextClassifier) -> None:
    (read,) = ranker.read_ranking([RerankRequest(query="cat", documents=("hello", "hello world"))])
    assert not isinstance(read, UniversalError)
    assert texts.tokens_of(read) == (3 + 2) + (3 + 3)


def test_a_text_costs_its_tokens(finder: TokenClassifier) -> None:
    (read,) = finder.read([ClassifyTokensRequest(input=("hello world", "cat"))])
    assert not isinstance(read, UniversalError)
    assert names.tokens_of(read) == 4 + 3
