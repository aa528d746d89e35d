"""Choosing tokens: against transformers' own processors on the same logits, and by what must hold."""

import math
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, strategies
from torch.overrides import TorchFunctionMode
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from schemas import same_every_time
from tiny.answers import completion
from universal_core import BadRequest
from universal_core.conversation import Sampling, sampling_of
from universal_text.causal.sampling import Sampler, choose_together
from universal_text.causal.sampling.adjusting import Adjustment, adjust
from universal_text.causal.sampling.drawing import best, passed
from universal_text.causal.sampling.filtering import Draws, head, least_kept, least_of_all
from universal_text.causal.settings import default_sampling


def rows(size: int = 3000, count: int = 20) -> list[torch.Tensor]:
    """Return rows of logits from flat to steep."""
    noise = torch.randn(count, size, generator=torch.Generator().manual_seed(0))
    return [row * scale for row, scale in zip(noise, torch.linspace(0.1, 8, count), strict=True)]


def theirs(processor: Any, logits: torch.Tensor, tokens: tuple[int, ...] = (0,)) -> torch.Tensor:
    return processor(torch.tensor([tokens]), logits[None].clone())[0]


def kept(logits: torch.Tensor, *, top_k: int = 0, top_p: float = math.inf, min_p: float = 0.0) -> torch.Tensor:
    """Return the logits with -inf where the filters leave a token out, looked for in all three ways."""
    numbers = [torch.tensor([[number]], dtype=torch.float64) for number in (1.0, top_k, top_p, min_p, 0.0)]
    draws = Draws(numbers[0].float(), numbers[1].long(), *numbers[2:])
    whole = 1 / logits[None].softmax(-1).amax(-1, keepdim=True)
    found = [least_of_all(logits[None], draws), least_kept(head(logits[None], logits.numel())[0], draws, whole)[0]]
    by_few, sure = least_kept(head(logits[None], 80)[0], draws, whole)
    found += [by_few] if sure.all() else []
    one, *others = [logits.masked_fill(logits < least[0], -math.inf) for least in found]
    assert all(torch.equal(one, other) for other in others)
    return one


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9, 0.999])
def test_top_p_keeps_what_transformers_keeps(share: float) -> None:
    for logits in rows():
        assert torch.equal(kept(logits, top_p=share), theirs(TopPLogitsWarper(share), logits))


@pytest.mark.parametrize("count", [1, 2, 40, 2999])
def test_top_k_keeps_what_transformers_keeps(count: int) -> None:
    for logits in rows():
        assert torch.equal(kept(logits, top_k=count), theirs(TopKLogitsWarper(count), logits))


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 1.0])
def test_min_p_keeps_what_transformers_keeps(share: float) -> None:
    for logits in rows():
        assert torch.equal(kept(logits, min_p=share), theirs(MinPLogitsWarper(share), logits))


def test_what_ties_with_the_last_token_kept_is_kept() -> None:
    logits = torch.zeros(3000)
    logits[[5, 2000]] = 9.0
    for filters in ({"top_k": 1}, {"top_p": 0.1}, {"top_p": 0.0}, {"min_p": 1.0}, {"top_k": 2, "top_p": 0.5}):
        assert kept(logits, **filters).isfinite().nonzero().flatten().tolist() == [5, 2000]
    assert kept(logits, top_k=3).isfinite().all()


def test_repetition_penalty_is_that_of_transformers() -> None:
    for logits in rows():
        expected = theirs(RepetitionPenaltyLogitsProcessor(1.3), logits, (5, 7, 7, 900))
        changed = logits[None].clone()
        adjust(changed, [Adjustment(Sampling(repetition_penalty=1.3), [5, 7, 7, 900])], [None])
        assert torch.equal(changed[0], expected)


def test_all_together_in_the_order_of_transformers() -> None:
    chain = LogitsProcessorList(
        [TemperatureLogitsWarper(0.7), TopKLogitsWarper(50), TopPLogitsWarper(0.9), MinPLogitsWarper(0.02)]
    )
    for logits in rows():
        assert torch.equal(kept(logits / 0.7, top_k=50, top_p=0.9, min_p=0.02), theirs(chain, logits))


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([0.5, 0.3, 0.2, 0.0]).log()
    sampler = Sampler(Sampling(seed="1"), [])
    counts = Counter(sampler.choose(logits).token for _ in range(4000))
    assert counts[3] == 0
    for token, share in enumerate((0.5, 0.3, 0.2)):
        assert counts[token] / 4000 == pytest.approx(share, abs=0.04)


def test_the_ends_of_the_interval_never_draw_an_impossible_token() -> None:
    weights = torch.tensor([[0.0, 0.5, 0.5, 0.0]], dtype=torch.float64)
    for aim, place in ((-1e-9, 1), (0.0, 1), (math.nextafter(1.0, 0.0), 2), (1.0, 2), (1.1, 2)):
        assert passed(weights, torch.tensor([[aim]], dtype=torch.float64)) == place


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


class Every:
    """Allows every so-many-th token, and any of them at the first step."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.accepted: list[int] = []

    def mask(self) -> bytes | None:
        bits = sum(1 << token for token in range(0, 1000, self.count))
        return bits.to_bytes(128, "little") if self.accepted else None

    def accept(self, token: int) -> None:
        self.accepted.append(token)

    def copy(self) -> "Every":
        return Every(self.count)


class Stuck(Every):
    """Cannot go on after the first token."""

    def mask(self) -> bytes | None:
        if self.accepted:
            raise BadRequest("the model has no token to go on with", param="response_format")
        return None


SETTINGS = strategies.fixed_dictionaries(
    {
        "temperature": strategies.sampled_from([0.0, 0.3, 1.0, 2.0]),
        "top_p": strategies.sampled_from([1.0, 1.0, 0.95, 0.5, 0.0]),
        "top_k": strategies.sampled_from([0, 0, 1, 40, 400, 5000]),
        "min_p": strategies.sampled_from([0.0, 0.0, 0.05, 1.0]),
        "repetition_penalty": strategies.sampled_from([1.0, 1.0, 1.3]),
        "presence_penalty": strategies.sampled_from([0.0, 0.0, 0.7]),
        "frequency_penalty": strategies.sampled_from([0.0, 0.2]),
        "logit_bias": strategies.sampled_from([{}, {5: 4.0, 17: -3.0}]),
        "logprobs": strategies.sampled_from([None, None, 0, 5, 40]),
        "every": strategies.sampled_from([0, 0, 1, 7, 600]),
    }
)


def sampler_of(settings: dict[str, Any], seed: int) -> Sampler:
    every, fields = settings["every"], {name: value for name, value in settings.items() if name != "every"}
    return Sampler(Sampling(seed=str(seed), **fields), [3, 5, 5, 5000], Every(every) if every else None)


@given(
    strategies.lists(SETTINGS, min_size=1, max_size=9),
    strategies.sampled_from([torch.float32, torch.bfloat16]),
    strategies.sampled_from([50, 1000, 9001]),
    strategies.integers(0, 2**32),
)
@same_every_time(60)
def test_rows_chosen_together_give_what_each_gives_alone(
    settings: list[dict[str, Any]], dtype: torch.dtype, size: int, seed: int
) -> None:
    together, alone = ([sampler_of(its, place) for place, its in enumerate(settings)] for _ in range(2))
    generator = torch.Generator().manual_seed(seed)
    for scale in (0.3, 1.0, 3.0, 6.0):
        logits = (torch.randn(len(settings), size, generator=generator) * scale).to(dtype)
        before = logits.clone()
        chosen = choose_together(together, logits)
        told = [sampler.choose(its) for sampler, its in zip(together, chosen, strict=True)]
        assert told == [sampler.choose(row) for sampler, row in zip(alone, logits, strict=True)]
        assert torch.equal(logits, before)


def test_a_row_whose_grammar_cannot_go_on_fails_alone() -> None:
    logits = torch.randn(3, 1000, generator=torch.Generator().manual_seed(0))
    samplers = [Sampler(Sampling(temperature=0.0), [], constraint) for constraint in (None, Stuck(1), Every(7))]
    for sampler, chosen in zip(samplers, choose_together(samplers, logits), strict=True):
        sampler.choose(chosen)
    first, failed, last = choose_together(samplers, logits)
    assert isinstance(failed, BadRequest)
    assert failed.param == "response_format"
    assert (first.sampler, first.choice.token) == (samplers[0], logits[0].argmax())
    assert last.choice.token == logits[2, :1000:7].argmax() * 7
    with pytest.raises(BadRequest):
        samplers[1].choose(logits[1])


def test_a_further_answer_draws_for_itself_from_the_same_logits() -> None:
    logits = torch.randn(1, 1000, generator=torch.Generator().manual_seed(0))
    one, other, alone = (Sampler(Sampling(seed=seed), []) for seed in ("1:0", "1:1", "1:1"))
    (chosen,) = choose_together([one], logits)
    assert one.choose(chosen) == chosen.choice
    assert other.choose(chosen) == alone.choose(logits[0]) != chosen.choice


def test_a_row_stays_out_of_what_it_does_not_need() -> None:
    seen: list[tuple[str, int]] = []

    class Noting(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if args and isinstance(args[0], torch.Tensor) and args[0].shape[-1] == 5000:
                seen.append((function.__name__, len(args[0])))
            return function(*args, **(kwargs or {}))

    samplers = [Sampler(Sampling(temperature=0.0), [])] * 3 + [Sampler(Sampling(top_p=0.9), [])]
    logits = (torch.randn(4, 5000, generator=torch.Generator().manual_seed(0)) * 9).bfloat16()
    with Noting():
        choose_together(samplers, logits)
    assert {count for name, count in seen if name in ("softmax", "log_softmax", "float", "to", "div")} == {1}


@pytest.mark.parametrize("size", [1, 63, 4095, 4096, 5001, 9000])
def test_the_first_of_the_best_tokens_is_taken(size: int) -> None:
    for seed in range(20):
        logits = torch.randint(0, 9, (3, size), generator=torch.Generator().manual_seed(seed)).bfloat16()
        assert torch.equal(best(logits), logits.argmax(-1))


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
