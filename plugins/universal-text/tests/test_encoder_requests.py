"""What a request may ask of an embedding model, alone and beside others."""

from pathlib import Path
from typing import Any

import numpy
import pytest

from tiny.embedding import ask, load, matrix, vectors
from tiny.encoders import POSITIONS, SIZE, make_sentence_transformer, wordpiece_tokenizer
from universal_core import BadRequest, EmbedRequest, EmbedResult, LoadFailed, ModelInfo, ModelRef, UniversalError
from universal_text.encoder.model import EncoderModel, tokens_of
from universal_text.encoder.options import EncoderOptions

TEXTS = ["hello world", "the quick brown fox jumps over the lazy dog", "", "cat", "a tiny cat " * 20, "hello world"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> EncoderModel:
    return load(make_sentence_transformer(tmp_path_factory.mktemp("bert")))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> EncoderModel:
    return load(make_sentence_transformer(tmp_path_factory.mktemp("qwen3"), arch="qwen3", pooling="last"))


@pytest.mark.parametrize("kind", ["model", "decoder"])
def test_texts_together_have_the_vectors_that_each_has_alone(kind: str, request: pytest.FixtureRequest) -> None:
    loaded: EncoderModel = request.getfixturevalue(kind)
    alone = numpy.concatenate([vectors(loaded, [text]) for text in TEXTS])
    assert numpy.abs(vectors(loaded, TEXTS) - alone).max() < 1e-5


def test_requests_together_have_the_answers_that_each_has_alone(model: EncoderModel) -> None:
    requests = [EmbedRequest(input=tuple(TEXTS[start:])) for start in range(len(TEXTS))]
    for request, answer in zip(requests, model.embed(requests), strict=True):
        assert isinstance(answer, EmbedResult)
        alone = ask(model, *request.input)
        assert answer.usage == alone.usage
        assert numpy.abs(matrix(answer) - matrix(alone)).max() < 1e-5


def test_a_small_batch_changes_nothing(tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path)
    one_by_one, together = load(tmp_path, batch_tokens=1), load(tmp_path)
    assert numpy.abs(vectors(one_by_one, TEXTS) - vectors(together, TEXTS)).max() < 1e-5


def test_a_bad_request_fails_alone(model: EncoderModel) -> None:
    good = EmbedRequest(input=("hello",))
    bad = [
        EmbedRequest(input=("hello",), dimensions=SIZE + 1),
        EmbedRequest(input=("hello",), prompt_name="nothing"),
        EmbedRequest(input=((5, 10**6),)),
    ]
    answers = model.embed([good, *bad, good])
    assert [type(answer) for answer in answers] == [EmbedResult, BadRequest, BadRequest, BadRequest, EmbedResult]
    assert answers[0] == answers[-1]


@pytest.mark.parametrize("dimensions", [0, -1, SIZE + 1])
def test_dimensions_out_of_range_are_refused_with_the_range(dimensions: int, model: EncoderModel) -> None:
    with pytest.raises(BadRequest, match=f"1 to {SIZE}") as caught:
        ask(model, "hello", dimensions=dimensions)
    assert caught.value.param == "dimensions"


def test_dimensions_cut_the_vector_and_make_it_of_length_one_again(model: EncoderModel) -> None:
    whole, cut = vectors(model, TEXTS), ask(model, *TEXTS, dimensions=8)
    expected = whole[:, :8] / numpy.linalg.norm(whole[:, :8], axis=1, keepdims=True)
    assert cut.dimensions == 8
    assert numpy.abs(matrix(cut) - expected).max() < 1e-6


def test_dimensions_without_normalizing_only_cut(model: EncoderModel) -> None:
    whole = vectors(model, TEXTS, normalize=False)
    assert numpy.array_equal(vectors(model, TEXTS, normalize=False, dimensions=8), whole[:, :8])


def test_an_unknown_prompt_is_refused_with_the_known_ones(model: EncoderModel) -> None:
    with pytest.raises(BadRequest, match="document, passage, query") as caught:
        ask(model, "hello", prompt_name="nothing")
    assert caught.value.param == "prompt_name"


@pytest.mark.parametrize("fields", [{}, {"prompt_name": "query"}])
def test_token_ids_have_the_vectors_of_their_text(fields: dict[str, Any], model: EncoderModel) -> None:
    tokenizer = wordpiece_tokenizer()
    bare = [tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in TEXTS]
    result = ask(model, *bare, **fields)
    assert numpy.abs(matrix(result) - vectors(model, TEXTS, **fields)).max() < 1e-6
    assert result.usage == ask(model, *TEXTS, **fields).usage


def test_token_ids_that_bring_their_special_tokens_get_no_second_set(model: EncoderModel) -> None:
    whole = [tuple(wordpiece_tokenizer()(text)["input_ids"]) for text in TEXTS]
    assert numpy.abs(matrix(ask(model, *whole)) - vectors(model, TEXTS)).max() < 1e-6


def test_token_ids_and_texts_may_stand_side_by_side(model: EncoderModel) -> None:
    ids = tuple(wordpiece_tokenizer()("cat", add_special_tokens=False)["input_ids"])
    first, second, third = matrix(ask(model, "cat", ids, "cat"))
    assert numpy.abs(first - second).max() < 1e-6
    assert numpy.array_equal(first, third)


@pytest.mark.parametrize("token", [-1, 10**6])
def test_token_ids_outside_of_the_vocabulary_are_refused(token: int, model: EncoderModel) -> None:
    with pytest.raises(BadRequest, match="Input 1 has a token id outside") as caught:
        ask(model, "hello", (5, token))
    assert caught.value.param == "input"


def test_usage_counts_the_tokens_that_were_read(model: EncoderModel) -> None:
    counts = [ask(model, text).usage.prompt_tokens for text in ("", "cat", "hello world", "cat " * 500)]
    assert counts == [2, 3, 4, POSITIONS]
    assert ask(model, "cat", "cat", "").usage.prompt_tokens == 8


def test_long_token_ids_are_cut_like_long_texts(model: EncoderModel) -> None:
    ids = tuple(wordpiece_tokenizer()("cat " * 500, add_special_tokens=False)["input_ids"])
    assert ask(model, ids).usage.prompt_tokens == POSITIONS
    assert numpy.abs(matrix(ask(model, ids)) - vectors(model, ["cat " * 500])).max() < 1e-6


def test_the_configured_length_cuts_sooner(tmp_path: Path) -> None:
    model = load(make_sentence_transformer(tmp_path), max_length=8)
    assert ask(model, "cat " * 500).usage.prompt_tokens == 8


def test_an_empty_text_has_a_vector_where_special_tokens_are_put_around_it(decoder: EncoderModel) -> None:
    assert numpy.linalg.norm(vectors(decoder, [""])) == pytest.approx(1)


def test_an_input_without_tokens_is_refused(tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path, arch="qwen3", pooling="last", ends=False)
    model = load(tmp_path)
    assert ask(model, "hello").usage.prompt_tokens == 1
    with pytest.raises(BadRequest, match="Input 1 has no tokens"):
        ask(model, "hello", "")


def test_no_inputs_have_no_vectors(model: EncoderModel) -> None:
    assert ask(model).vectors == b""


def test_the_side_of_the_padding_changes_nothing(tmp_path: Path) -> None:
    for side in ("left", "right"):
        make_sentence_transformer(tmp_path / side, arch="qwen3", pooling="last", padding_side=side)
    assert numpy.array_equal(vectors(load(tmp_path / "left"), TEXTS), vectors(load(tmp_path / "right"), TEXTS))


def test_a_request_costs_the_tokens_that_are_read_for_it(model: EncoderModel) -> None:
    one, other = model.read([EmbedRequest(input=("cat", "")), EmbedRequest(input=("cat",), dimensions=0)])
    assert not isinstance(one, UniversalError)
    assert tokens_of(one) == 5
    assert isinstance(other, BadRequest)


def test_a_length_beyond_the_positions_is_refused(tmp_path: Path) -> None:
    make_sentence_transformer(tmp_path)
    with pytest.raises(LoadFailed, match=f"{POSITIONS + 1}.*{POSITIONS} positions"):
        load(tmp_path, max_length=POSITIONS + 1)


def test_a_model_that_is_not_here_is_not_loaded() -> None:
    with pytest.raises(LoadFailed, match="not on this machine"):
        EncoderModel(ModelInfo(id="x/y", ref=ModelRef.parse("x/y"), source="test"), EncoderOptions())
