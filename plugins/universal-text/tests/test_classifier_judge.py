"""Decoders that say yes or no rank documents as sentence-transformers' CrossEncoder does with them."""

from pathlib import Path
from typing import Any

import pytest
from sentence_transformers import CrossEncoder

import universal_text
from tiny.classifiers import JUDGE, make_classifier, make_judge
from tiny.classifying import load_judge, load_texts, rank, result
from tiny.encoders import POSITIONS
from tiny.folder import info_of
from universal_core import LoadFailed, RerankRequest, RerankResult, TokenizeRequest

QUERY = "the quick fox?"
TEXTS = ["hello world", "the quick brown fox jumps over", "", "Lazy DOG!", "hello hello hello", "  querying  ", "fox"]
LONG = "hello the lazy dog " * 60


def cross_scores(path: Path, query: str, documents: list[str]) -> Any:
    model = CrossEncoder(str(path), device="cpu", local_files_only=True)
    return model.predict([(query, one) for one in documents], show_progress_bar=False).tolist()


def close(scores: Any) -> Any:
    return pytest.approx(scores, abs=1e-5)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"content": "structured"},
        {"verdict": {"false_token_id": None}},
        {"settings": {"processing_kwargs": {}}},
        {"settings": {"max_seq_length": 60}},
    ],
)
def test_relevance_is_that_of_a_cross_encoder(form: dict[str, Any], tmp_path: Path) -> None:
    make_judge(tmp_path, **form)
    expected = cross_scores(tmp_path, QUERY, [*TEXTS, LONG])
    assert rank(load_judge(tmp_path), QUERY, *TEXTS, LONG) == close(expected)
    assert max(expected) - min(expected) > 1e-3, "scores that are all alike would prove nothing"


@pytest.mark.parametrize(("query", "document"), [("fox", LONG), (LONG, "fox"), (LONG, LONG)])
def test_what_is_too_long_is_cut_before_the_ending(query: str, document: str, tmp_path: Path) -> None:
    model = load_judge(make_judge(tmp_path))
    assert rank(model, query, document) == close(cross_scores(tmp_path, query, [document]))
    assert result(model.rerank([RerankRequest(query=query, documents=(document,))])).usage.prompt_tokens == POSITIONS


def test_documents_and_requests_together_have_the_scores_that_each_has_alone(tmp_path: Path) -> None:
    model = load_judge(make_judge(tmp_path))
    assert rank(model, QUERY, *TEXTS) == [close(rank(model, QUERY, text)[0]) for text in TEXTS]
    requests = [RerankRequest(query=text, documents=tuple(TEXTS[at:])) for at, text in enumerate(TEXTS)]
    for request, answer in zip(requests, model.rerank(requests), strict=True):
        assert isinstance(answer, RerankResult)
        assert list(answer.scores) == close(rank(model, request.query, *request.documents))


@pytest.mark.parametrize("layout", ["none", "CrossEncoder"])
@pytest.mark.parametrize("padded", [True, False])
def test_a_decoder_with_a_head_and_turns_for_both_texts_ranks_as_a_cross_encoder_does(
    padded: bool, layout: str, tmp_path: Path
) -> None:
    plain = make_classifier(tmp_path / "plain", labels=("relevant",), arch="qwen3", template=JUDGE, padded=padded)
    made = CrossEncoder(str(plain), device="cpu", prompts={"a": "Does it?"}, default_prompt_name="a")
    made.save_pretrained(str(tmp_path / "layout"))
    path = plain if layout == "none" else tmp_path / "layout"
    reference = CrossEncoder(str(path), device="cpu", local_files_only=True)
    expected = [float(reference.predict([(QUERY, text)], show_progress_bar=False)[0]) for text in [*TEXTS, LONG]]
    assert rank(load_texts(path), QUERY, *TEXTS, LONG) == close(expected)


def test_a_chat_template_without_such_turns_is_not_used(tmp_path: Path) -> None:
    users = "{% for turn in messages %}{% if turn.role == 'user' %}{{ turn.content }}{% endif %}{% endfor %}"
    bare = make_classifier(tmp_path / "bare", labels=("relevant",), arch="qwen3")
    chats = make_classifier(tmp_path / "chats", labels=("relevant",), arch="qwen3", template=users)
    assert rank(load_texts(chats), QUERY, "hello") == close(rank(load_texts(bare), QUERY, "hello"))


def test_it_is_claimed_beside_the_backend_that_chats(tmp_path: Path) -> None:
    info = info_of(make_judge(tmp_path))
    ranking, chatting = universal_text.claim_model(info)
    assert (ranking.backend, ranking.tasks) == ("text-ranking", ("rerank", "tokenize", "detokenize"))
    assert chatting.backend == "text"
    assert ranking.rank > chatting.rank
    assert "1_LogitScore/config.json" in ranking.files
    assert "Qwen3ForCausalLM" in ranking.reason


def test_without_the_layout_a_decoder_is_one_that_chats(tmp_path: Path) -> None:
    make_judge(tmp_path)
    (tmp_path / "modules.json").unlink()
    assert [claim.backend for claim in universal_text.claim_model(info_of(tmp_path))] == ["text"]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"verdict": {"true_token_id": "yes"}}, "which tokens mean yes"),
        ({"verdict": {"module_input_name": "scores"}}, "'scores'"),
        ({"settings": {"modality_config": {"text": {}}}}, r"found 'text-generation' and \['text'\]"),
        ({"settings": {"transformer_task": "feature-extraction"}}, "feature-extraction"),
        ({"settings": {"processing_kwargs": {"text": {"max_length": 5}}}}, "processing_kwargs"),
        ({"template": JUDGE.replace("messages", "messages[:2]")}, "leaves out the query or the document"),
        ({"template": "{{ raise_exception('only users') }}"}, "only users"),
    ],
)
def test_what_is_not_known_fails_the_load_by_name(form: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match=words):
        load_judge(make_judge(tmp_path, **form))


def test_tokens_are_shown(tmp_path: Path) -> None:
    assert load_judge(make_judge(tmp_path)).tokenize(TokenizeRequest(text="hello")).tokens
