"""What a request may ask of a model that embeds, and what it is told."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy
import pytest

from tiny.embedding import ask, matrix, vectors
from tiny.folder import info_of
from tiny.gguf import make_gguf_bert, make_gguf_gemma3, make_gguf_llama, make_gguf_mamba, quantize, split
from tiny.pooled import load
from universal_core import (
    BadRequest,
    ContextLengthExceeded,
    DetokenizeRequest,
    EmbedRequest,
    EmbedResult,
    LoadFailed,
    Progress,
    RerankRequest,
    TaskNotSupported,
    TokenizeRequest,
)
from universal_gguf.options import PooledOptions
from universal_gguf.pooled.model import PooledModel

TEXTS = ["hello world", "the quick brown fox", "dog", "lazy dog, the quick fox!", "hello", "a b c d e f g h i j k l"]

Open = Callable[..., PooledModel]


@pytest.fixture
def open_model() -> Iterator[Open]:
    """Return a function that loads a model; all are closed at the end."""
    with ExitStack() as stack:
        yield lambda path, **options: stack.enter_context(closing(load(path, **options)))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_gguf_bert(tmp_path_factory.mktemp("bert") / "bert.gguf")


@pytest.fixture(scope="module")
def model(file: Path) -> Iterator[PooledModel]:
    with closing(load(file)) as found:
        yield found


def close_to(one: Any, other: Any) -> bool:
    """Whether vectors of length 1 are the same but for the order in which numbers were added up."""
    return one.shape == other.shape and bool(numpy.abs(one - other).max() < 1e-3)


def test_a_batch_gives_what_each_text_gets_alone(model: PooledModel) -> None:
    alone = numpy.concatenate([vectors(model, [text]) for text in TEXTS])
    assert close_to(vectors(model, TEXTS), alone)


def test_requests_that_are_answered_together_get_their_own_vectors_in_order(model: PooledModel) -> None:
    requests = [
        EmbedRequest(input=tuple(TEXTS[:2])),
        EmbedRequest(input=(TEXTS[2],)),
        EmbedRequest(input=("dog", "hello")),
    ]
    answers = model.embed(requests)
    for request, answer in zip(requests, answers, strict=True):
        assert isinstance(answer, EmbedResult)
        assert close_to(matrix(answer), vectors(model, [str(item) for item in request.input]))


def test_hundreds_of_texts_keep_their_order(model: PooledModel) -> None:
    texts = [" ".join(TEXTS[place % 6].split()[: 1 + place % 4] * (1 + place % 5)) for place in range(300)]
    expected = {text: vectors(model, [text])[0] for text in set(texts)}
    assert close_to(vectors(model, texts), numpy.stack([expected[text] for text in texts]))


def test_usage_counts_the_tokens_of_the_tokenizer(model: PooledModel) -> None:
    counts = [len(model.tokenize(TokenizeRequest(text=text)).tokens) for text in TEXTS]
    assert ask(model, *TEXTS).usage.prompt_tokens == sum(counts)


def test_vectors_have_length_1_unless_told_otherwise(model: PooledModel) -> None:
    assert numpy.allclose(numpy.linalg.norm(vectors(model, TEXTS), axis=1), 1, atol=1e-6)
    assert not numpy.allclose(numpy.linalg.norm(vectors(model, TEXTS, normalize=False), axis=1), 1, atol=1e-2)


def test_cut_vectors_are_normalized_again(model: PooledModel) -> None:
    whole, cut = vectors(model, TEXTS, normalize=False)[:, :5], vectors(model, TEXTS, dimensions=5)
    assert close_to(cut, whole / numpy.linalg.norm(whole, axis=1, keepdims=True))


@pytest.mark.parametrize("dimensions", [0, -1, 65])
def test_dimensions_that_the_model_does_not_have_are_refused(model: PooledModel, dimensions: int) -> None:
    with pytest.raises(BadRequest, match=f"from 1 to 64 for this model, not {dimensions}") as caught:
        ask(model, "hello", dimensions=dimensions)
    assert caught.value.param == "dimensions"


def test_token_ids_are_embedded_as_their_text(model: PooledModel) -> None:
    bare = model.tokenize(TokenizeRequest(text=TEXTS[1], add_special=False)).tokens
    whole = model.tokenize(TokenizeRequest(text=TEXTS[1])).tokens
    assert len(whole) == len(bare) + 2
    result = ask(model, bare, whole)
    assert close_to(matrix(result), vectors(model, [TEXTS[1], TEXTS[1]]))
    assert result.usage.prompt_tokens == 2 * len(whole)


@pytest.mark.parametrize("token", [-1, 10**6])
def test_a_token_that_the_model_does_not_know_is_refused(model: PooledModel, token: int) -> None:
    with pytest.raises(BadRequest, match=str(token)) as caught:
        ask(model, (5, token))
    assert caught.value.param == "input"


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\0", "é世🙂", "[CLS] [SEP]", "x" * 100])
def test_odd_texts_have_a_vector(model: PooledModel, text: str) -> None:
    assert numpy.isfinite(vectors(model, [text])).all()


def test_a_text_without_any_token_is_refused_where_the_tokenizer_adds_none(tmp_path: Path, open_model: Open) -> None:
    model = open_model(make_gguf_llama(tmp_path / "llama.gguf", pooling="last"))
    with pytest.raises(BadRequest, match="Input 1 has no tokens") as caught:
        ask(model, "hello", "")
    assert caught.value.param == "input"


def test_a_text_that_is_too_long_is_refused_with_the_numbers(model: PooledModel) -> None:
    with pytest.raises(
        ContextLengthExceeded, match="Input 1 has 152 tokens, but this model reads at most 128"
    ) as caught:
        ask(model, "hello", "hello " * 150)
    assert caught.value.param == "input"
    assert numpy.isfinite(vectors(model, ["hello " * 126])).all()


def test_a_smaller_context_is_the_limit(file: Path, open_model: Open) -> None:
    with pytest.raises(ContextLengthExceeded, match="at most 16"):
        ask(open_model(file, n_ctx=16), "hello " * 15)


def test_a_larger_context_than_the_model_has_positions_for_is_not_believed(file: Path, open_model: Open) -> None:
    with pytest.raises(ContextLengthExceeded, match="at most 128"):
        ask(open_model(file, n_ctx=4096), "hello " * 150)


def test_one_bad_request_does_not_harm_its_neighbours(model: PooledModel) -> None:
    good, bad, other = model.embed(
        [EmbedRequest(input=("hello",)), EmbedRequest(input=("hello " * 200,)), EmbedRequest(input=("dog",))]
    )
    assert isinstance(bad, ContextLengthExceeded)
    assert isinstance(good, EmbedResult)
    assert isinstance(other, EmbedResult)
    assert close_to(matrix(other), vectors(model, ["dog"]))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_step_smaller_than_a_text_makes_room_for_it(tmp_path: Path, open_model: Open, pooling: str) -> None:
    file = make_gguf_bert(tmp_path / "bert.gguf", pooling=pooling)
    long = "the quick brown fox " * 20
    assert close_to(vectors(open_model(file, n_batch=8), ["dog", long]), vectors(open_model(file), ["dog", long]))


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_a_decoder_reads_a_long_text_in_parts(tmp_path: Path, open_model: Open, pooling: str) -> None:
    file = make_gguf_llama(tmp_path / "llama.gguf", pooling=pooling)
    long = "the quick brown fox " * 20
    one, other = open_model(file, n_batch=16), open_model(file, n_batch=256)
    assert close_to(vectors(one, ["dog", long]), vectors(other, ["dog", long]))


def test_the_option_wins_over_what_the_file_says(tmp_path: Path, open_model: Open) -> None:
    by_file = make_gguf_llama(tmp_path / "last" / "llama.gguf", pooling="last")
    by_option = make_gguf_llama(tmp_path / "mean" / "llama.gguf", pooling="mean")
    assert close_to(vectors(open_model(by_option, pooling="last"), TEXTS), vectors(open_model(by_file), TEXTS))
    assert not close_to(vectors(open_model(by_option), TEXTS), vectors(open_model(by_file), TEXTS))


def test_a_decoder_whose_file_says_nothing_takes_the_last_token(tmp_path: Path, open_model: Open) -> None:
    file = make_gguf_llama(tmp_path / "llama.gguf")
    assert close_to(vectors(open_model(file), TEXTS), vectors(open_model(file, pooling="last"), TEXTS))


@pytest.mark.parametrize("make", [make_gguf_gemma3, make_gguf_mamba])
def test_windows_and_recurrent_states_do_not_mix_texts(
    tmp_path: Path, open_model: Open, make: Callable[[Path], Path]
) -> None:
    model = open_model(make(tmp_path / "model.gguf"), pooling="mean")
    alone = numpy.concatenate([vectors(model, [text]) for text in TEXTS])
    assert close_to(vectors(model, TEXTS), alone)


def test_split_and_quantized_files_are_loaded(tmp_path: Path, open_model: Open) -> None:
    file = make_gguf_llama(tmp_path / "whole" / "llama.gguf", pooling="last")
    small = quantize(file, tmp_path / "small" / "llama-Q8_0.gguf", "Q8_0")
    first, *_ = split(small, tmp_path / "parts", 3)
    expected = vectors(open_model(file), TEXTS)
    assert close_to(vectors(open_model(first), TEXTS), vectors(open_model(small), TEXTS))
    assert (vectors(open_model(small), TEXTS) * expected).sum(axis=1).min() > 0.99


def test_progress_is_told_while_loading(file: Path) -> None:
    told: list[Progress] = []
    PooledModel(info_of(file.parent), PooledOptions(device="cpu", n_threads=1), told.append).close()
    assert told[-1].fraction == 1


def test_what_a_model_is_not_for_is_refused(model: PooledModel) -> None:
    with pytest.raises(TaskNotSupported, match="pools by mean"):
        model.rerank([RerankRequest(query="hello", documents=("dog",))])


def test_rank_without_a_classifier_is_refused(file: Path) -> None:
    with pytest.raises(LoadFailed, match="no classifier"):
        load(file, pooling="rank")


def test_tokens_become_the_text_again(model: PooledModel) -> None:
    tokens = model.tokenize(TokenizeRequest(text="Hello, world!", add_special=False)).tokens
    assert model.detokenize(DetokenizeRequest(tokens=tokens)).text.strip() == "hello, world!"
    with pytest.raises(BadRequest):
        model.detokenize(DetokenizeRequest(tokens=(10**6,)))


@pytest.mark.parametrize("text", ["a . b , c 's it", " lead", "é世🙂 <|im_end|>x", ""])
def test_tokens_of_bytes_become_exactly_the_text_again(tmp_path: Path, open_model: Open, text: str) -> None:
    model = open_model(make_gguf_llama(tmp_path / "llama.gguf"))
    tokens = model.tokenize(TokenizeRequest(text=text, add_special=False)).tokens
    assert model.detokenize(DetokenizeRequest(tokens=tokens)).text == text
