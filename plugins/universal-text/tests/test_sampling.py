"""Choosing tokens: against transformers' own processors on the same logits, and by what must hold."""

import math
from collections import Counter
from typing import Any

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from tiny.answers import completion
from universal_core import BadRequest
from universal_core.conversation import Sampling, sampling_of
from universal_text.causal.sampling import (
    Sampler,
    draw,
    filter_logits,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalise_repetition,
)
from universal_text.causal.settings import default_sampling


def rows(size: int = 3000, count: int = 20) -> list[torch.Tensor]:
    """Return rows of logits from flat to steep."""
    noise = torch.randn(count, size, generator=torch.Generator().manual_seed(0))
    return [row * scale for row, scale in zip(noise, torch.linspace(0.1, 8, count), strict=True)]


def theirs(processor: Any, logits: torch.Tensor, tokens: tuple[int, ...] = (0,)) -> torch.Tensor:
    return processor(torch.tensor([tokens]), logits[None].clone())[0]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9, 0.999])
def test_top_p_keeps_what_transformers_keeps(share: float) -> None:
    for logits in rows():
        assert torch.equal(keep_top_p(logits, share), theirs(TopPLogitsWarper(share), logits))


@pytest.mark.parametrize("count", [1, 2, 40, 2999])
def test_top_k_keeps_what_transformers_keeps(count: int) -> None:
    for logits in rows():
        assert torch.equal(keep_top_k(logits, count), theirs(TopKLogitsWarper(count), logits))


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 1.0])
def test_min_p_keeps_what_transformers_keeps(share: float) -> None:
    for logits in rows():
        assert torch.equal(keep_min_p(logits, share), theirs(MinPLogitsWarper(share), logits))


def test_repetition_penalty_is_that_of_transformers() -> None:
    for logits in rows():
        seen = torch.zeros_like(logits, dtype=torch.bool)
        seen[[5, 7, 900]] = True
        expected = theirs(RepetitionPenaltyLogitsProcessor(1.3), logits, (5, 7, 7, 900))
        assert torch.equal(penalise_repetition(logits, seen, 1.3), expected)


def test_all_together_in_the_order_of_transformers() -> None:
    chain = LogitsProcessorList(
        [TemperatureLogitsWarper(0.7), TopKLogitsWarper(50), TopPLogitsWarper(0.9), MinPLogitsWarper(0.02)]
    )
    sampling = Sampling(temperature=0.7, top_k=50, top_p=0.9, min_p=0.02)
    for logits in rows():
        assert torch.equal(filter_logits(logits / 0.7, sampling), theirs(chain, logits))


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([0.5, 0.3, 0.2, 0.0]).log()
    sampler = Sampler(Sampling(seed="1"), [])
    counts = Counter(sampler.choose(logits).token for _ in range(4000))
    assert counts[3] == 0
    for token, share in enumerate((0.5, 0.3, 0.2)):
        assert counts[token] / 4000 == pytest.approx(share, abs=0.04)


def test_the_ends_of_the_interval_never_draw_an_impossible_token() -> None:
    logits = torch.tensor([-math.inf, 1.0, 1.0, -math.inf])
    assert draw(logits, 0.0) == 1
    assert draw(logits, math.nextafter(1.0, 0.0)) == 2


@pytest.mark.parametrize("filters", [{"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}, {"temperature": 0.0}])
def test_the_narrowest_filters_leave_the_best_token(filters: dict[str, Any]) -> None:
    for logits in rows(count=5):
        assert Sampler(Sampling(**filters), []).choose(logits).token == logits.argmax()


def test_presence_and_frequency_penalties_count_the_answer_alone() -> None:
    logits = torch.tensor([3.0, 2.5, 2.0])
    sampler = Sampler(Sampling(temperature=0.0, presence_penalty=0.6, frequency_penalty=0.3), [0, 0, 0])
    # 3.0 wins; then 3.0-0.9 < 2.5; then 2.1, 1.6, 2.0; then 1.8, 1.6, 2.0; then 1.8, 1.6, 1.1
    assert [sampler.choose(logits).token for _ in range(5)] == [0, 1, 0, 2, 0]


def test_logit_bias_forbids_and_forces() -> None:
    logits = torch.tensor([3.0, 2.5, 2.0])
    assert Sampler(Sampling(temperature=0.0, logit_bias={0: -100.0}), []).choose(logits).token == 1
    assert Sampler(Sampling(logit_bias={2: 100.0}), []).choose(logits).token == 2


def test_logprobs_come_from_the_raw_logits() -> None:
    logits = torch.tensor([3.0, 2.5, 2.0, -1.0])
    settings = Sampling(temperature=0.1, top_k=1, logit_bias={2: 100.0}, logprobs=2)
    choice = Sampler(settings, []).choose(logits)
    expected = logits.log_softmax(-1)
    assert choice.token == 2
    assert choice.logprob == pytest.approx(float(expected[2]))
    assert choice.alternatives == ((0, pytest.approx(float(expected[0]))), (1, pytest.approx(float(expected[1]))))


def test_the_logits_given_are_not_changed() -> None:
    logits = torch.tensor([3.0, 2.5, 2.0])
    settings = Sampling(
        repetition_penalty=2.0, presence_penalty=1.0, logit_bias={0: 1.0}, top_k=2, top_p=0.5, min_p=0.1
    )
    sampler = Sampler(settings, [0])
    sampler.choose(logits)
    sampler.choose(logits)
    assert logits.tolist() == [3.0, 2.5, 2.0]


def test_a_seed_gives_the_same_text_whatever_runs_beside_it(llama: Any, ask: Any) -> None:
    request = completion("hello", max_tokens=20, temperature=1.5, seed=7)
    first = ask(llama, request)[0]
    crowd = [completion("other", max_tokens=30, temperature=1.0) for _ in range(5)]
    assert ask(llama, *crowd, request)[-1] == first
    assert ask(llama, completion("hello", max_tokens=20, temperature=1.5, seed=8))[0].text != first.text


@pytest.mark.parametrize("seed", [0, -1, 2**63 - 1, -(2**63), 10**30])
def test_any_integer_is_a_seed(seed: int, llama: Any, ask: Any) -> None:
    request = completion("hello", max_tokens=5, temperature=1.0, seed=seed)
    assert ask(llama, request) == ask(llama, request)


def test_without_a_seed_texts_differ(llama: Any, ask: Any) -> None:
    requests = [completion("hello", max_tokens=20, temperature=2.0) for _ in range(4)]
    assert len({answer.text for answer in ask(llama, *requests)}) > 1


def test_the_models_own_settings_hold_where_the_request_has_none() -> None:
    file = {"do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": 20, "repetition_penalty": 1.05}
    chosen = sampling_of(completion("x", temperature=None, top_p=0.5), default_sampling(file), 100, 0)
    assert (chosen.temperature, chosen.top_p, chosen.top_k, chosen.min_p) == (0.6, 0.5, 20, 0.0)
    assert chosen.repetition_penalty == 1.05


@pytest.mark.parametrize(
    ("file", "temperature"),
    [(None, 1.0), ({}, 1.0), ({"temperature": 0.3}, 1.0), ({"do_sample": False, "temperature": 0.3}, 0.0)],
)
def test_do_sample_decides_whether_the_file_speaks_of_sampling(file: Any, temperature: float) -> None:
    assert sampling_of(completion("x", temperature=None), default_sampling(file), 100, 0).temperature == temperature


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": -1.0},
        {"top_p": 1.5},
        {"min_p": -0.1},
        {"repetition_penalty": 0.0},
        {"logit_bias": {100: 1.0}},
        {"logit_bias": {-1: 1.0}},
    ],
)
def test_settings_that_mean_nothing_are_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        sampling_of(completion("x", **fields), {}, 100, 0)
    assert caught.value.param == next(iter(fields))
