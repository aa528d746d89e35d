"""Scoring documents: how query and document are put together, and what is refused."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tiny.gguf import add_text, make_gguf_bert
from tiny.pooled import load, rank
from universal_core import ContextLengthExceeded, EmbedRequest, RerankRequest, RerankResult, TaskNotSupported
from universal_gguf.pooled.model import PooledModel
from universal_gguf.pooled.pairs import Pairs

CLS, SEP = 2, 3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PooledModel]:
    with closing(load(make_gguf_bert(tmp_path_factory.mktemp("ranker") / "ranker.gguf", rank=True))) as found:
        yield found


def pairs_of(model: PooledModel, template: str | None = None) -> Pairs:
    return Pairs(model._weights.vocabulary, template, limit=128)


def test_a_pair_is_the_query_and_the_document_with_special_tokens_around_each(model: PooledModel) -> None:
    encode = model._weights.vocabulary.encode
    (row,) = pairs_of(model).read(RerankRequest(query="hello", documents=("quick fox",)))
    assert list(row) == [CLS, *encode("hello", special=False), SEP, *encode("quick fox", special=False), SEP]


def test_special_tokens_that_a_document_spells_out_are_text(model: PooledModel) -> None:
    (row,) = pairs_of(model).read(RerankRequest(query="[SEP]", documents=("[CLS] [SEP]",)))
    assert [token for token in row if token in (CLS, SEP)] == [CLS, SEP, SEP]


def test_a_template_is_filled_at_once(model: PooledModel) -> None:
    decode = model._weights.vocabulary.decode
    pairs = pairs_of(model, "the {document} fox {query} dog")
    (row,) = pairs.read(RerankRequest(query="{document}", documents=("quick",)))
    text = decode(list(row))
    assert text.count("quick") == 1
    assert "document" in text.replace(" ", "")


def test_the_templates_special_tokens_are_tokens(model: PooledModel) -> None:
    (row,) = pairs_of(model, "[CLS]{query}[SEP]{document}").read(RerankRequest(query="hello", documents=("dog",)))
    assert row[0] == CLS
    assert row.count(SEP) == 1


def test_the_template_of_the_file_is_used(tmp_path: Path) -> None:
    plain = make_gguf_bert(tmp_path / "plain" / "ranker.gguf", rank=True)
    named = add_text(plain, tmp_path / "named" / "ranker.gguf", "tokenizer.chat_template.rerank", "{query} {document}")
    with closing(load(plain)) as one, closing(load(named)) as other:
        assert rank(one, "hello", "dog").usage.prompt_tokens == 5
        assert rank(other, "hello", "dog").usage.prompt_tokens == 2


def test_scores_are_in_the_order_of_the_documents_and_from_0_to_1(model: PooledModel) -> None:
    documents = ("hello world", "the quick", "lazy dog", "")
    scores = rank(model, "hello", *documents).scores
    turned = rank(model, "hello", *reversed(documents)).scores
    assert scores == pytest.approx(tuple(reversed(turned)), abs=1e-4)
    assert all(0 < score < 1 for score in scores)
    assert len(set(scores)) == 4


def test_requests_that_are_answered_together_get_their_own_scores(model: PooledModel) -> None:
    requests = [
        RerankRequest(query="hello", documents=("dog", "fox")),
        RerankRequest(query="the", documents=("world",)),
    ]
    for request, answer in zip(requests, model.rerank(requests), strict=True):
        assert isinstance(answer, RerankResult)
        alone = rank(model, request.query, *request.documents)
        assert answer.scores == pytest.approx(alone.scores, abs=1e-4)
        assert answer.usage == alone.usage


def test_a_document_that_is_too_long_is_refused_with_the_numbers(model: PooledModel) -> None:
    with pytest.raises(
        ContextLengthExceeded, match="document 1 has 204 tokens, but this model reads at most 128"
    ) as caught:
        rank(model, "hello", "dog", "dog " * 200)
    assert caught.value.param == "documents"


def test_one_bad_request_does_not_harm_its_neighbours(model: PooledModel) -> None:
    bad, good = model.rerank(
        [RerankRequest(query="a " * 200, documents=("dog",)), RerankRequest(query="hello", documents=("dog",))]
    )
    assert isinstance(bad, ContextLengthExceeded)
    assert isinstance(good, RerankResult)


def test_a_model_that_ranks_has_no_vectors(model: PooledModel) -> None:
    with pytest.raises(TaskNotSupported, match="pools by rank"):
        model.embed([EmbedRequest(input=("hello",))])
