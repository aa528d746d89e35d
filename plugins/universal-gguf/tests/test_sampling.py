"""Choosing tokens: against llama.cpp's own chain, against universal-text's sampler, and by what must hold."""

import ctypes
import itertools
import math
import random
from collections import Counter
from typing import Any

import llama_cpp
import numpy
import pytest
from numpy.typing import NDArray

from universal_core.conversation import Choice, Sampling
from universal_gguf.generation.sampling import Sampler, best, draw, nucleus, report

Row = NDArray[numpy.float32]

LARGE = 152_000


def normal(size: int, scale: float, seed: int = 0) -> Row:
    generator = numpy.random.default_rng(seed)
    return generator.standard_normal(size, dtype=numpy.float32) * numpy.float32(scale)


def rows() -> dict[str, Row]:
    """Return logits of every shape: none of them tie, unless the name says so."""
    steep = numpy.linspace(40, -40, 3000, dtype=numpy.float32)
    return {
        "flat": normal(3000, 0.01),
        "usual": normal(3000, 3.0),
        "peaked": normal(3000, 12.0),
        "one": numpy.where(numpy.arange(3000) == 1234, 50, normal(3000, 1.0)).astype(numpy.float32),
        "steep": numpy.random.default_rng(1).permutation(steep),
        "small": normal(7, 2.0),
        "large": normal(LARGE, 2.5),
        "large and flat": normal(LARGE, 0.1),
    }


ROWS = rows()


def kept(logits: Row, sampling: Sampling) -> NDArray[numpy.float64]:
    """Return the distribution that our filters leave, from where the draw goes for numbers from 0 to 1."""
    scaled = (logits.astype(numpy.float64) - logits.max()) / sampling.temperature
    chosen = numpy.exp(scaled)
    if 0 < sampling.top_k < len(logits):
        outside = numpy.ones(len(logits), bool)
        outside[best(logits, sampling.top_k)] = False
        chosen[outside] = 0
    weights = chosen.astype(numpy.float32)
    least = min(1.0, max(nucleus(weights, sampling.top_p), sampling.min_p))
    chosen[weights < numpy.float32(least)] = 0
    return chosen / chosen.sum()


def theirs(logits: Row, sampling: Sampling) -> NDArray[numpy.float64]:
    """Return the distribution that llama.cpp's chain leaves, with temperature before the filters as it is here."""
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_temp(sampling.temperature))
    if sampling.top_k:
        llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1:
        llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p:
        llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1))
    data = (llama_cpp.llama_token_data * len(logits))()
    view = numpy.ctypeslib.as_array(ctypes.cast(data, ctypes.POINTER(ctypes.c_float)), (len(logits), 3))
    view[:, 1] = logits - logits.max()
    view[:, 0].view(numpy.int32)[:] = numpy.arange(len(logits))
    array = llama_cpp.llama_token_data_array(data=data, size=len(logits), selected=-1, sorted=False)
    llama_cpp.llama_sampler_apply(chain, ctypes.byref(array))
    left = numpy.ctypeslib.as_array(ctypes.cast(array.data, ctypes.POINTER(ctypes.c_float)), (array.size, 3)).copy()
    llama_cpp.llama_sampler_free(chain)
    found = numpy.zeros(len(logits))
    scaled = left[:, 1].astype(numpy.float64)
    found[left[:, 0].copy().view(numpy.int32)] = numpy.exp(scaled - scaled.max())
    return found / found.sum()


SETTINGS = [
    Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    for temperature, top_k, top_p, min_p in itertools.product(
        (0.2, 0.8, 1.0, 2.0), (0, 1, 40), (0.05, 0.5, 0.95, 1.0), (0.0, 0.05, 0.9)
    )
]


def assert_same(one: NDArray[numpy.float64], other: NDArray[numpy.float64], rounding: float) -> None:
    """Check that two distributions agree to 1e-6.

    Where the sum of the best comes to top_p within ``rounding``, the least likely of those kept may be in or out.
    """
    different = numpy.flatnonzero((one > 0) != (other > 0))
    if not len(different):
        assert numpy.abs(one - other).max() < 1e-6
        return
    more = max(one, other, key=numpy.count_nonzero)
    edge = numpy.sort(more[more > 0])[: len(different)]
    assert numpy.allclose(numpy.sort(more[different]), edge)
    assert edge[:-1].sum() < rounding, "the last but one must not come to top_p"


@pytest.mark.parametrize("name", ROWS)
def test_the_distribution_is_that_of_llama_cpps_own_chain(name: str) -> None:
    logits = ROWS[name]
    settings = SETTINGS if len(logits) < LARGE else SETTINGS[::7]
    for sampling in settings:
        # llama.cpp adds up in single precision, one by one: 3e-4 at 150,000 tokens.
        assert_same(kept(logits, sampling), theirs(logits, sampling), 5e-4)


@pytest.mark.parametrize("name", ROWS)
def test_top_p_is_that_of_a_whole_sort_in_double_precision(name: str) -> None:
    logits = ROWS[name]
    for temperature, top_p in itertools.product((0.2, 0.8, 2.0), (0.0, 0.05, 0.5, 0.95, 0.9999)):
        scaled = logits.astype(numpy.float64) / temperature
        weights = numpy.exp(scaled - scaled.max())
        order = numpy.argsort(-weights, kind="stable")
        count = 1 + int(numpy.searchsorted(weights[order].cumsum(), top_p * weights.sum()))
        expected = numpy.zeros_like(weights)
        expected[order[:count]] = weights[order[:count]]
        found = kept(logits, Sampling(temperature=temperature, top_p=top_p))
        assert_same(found, expected / expected.sum(), 1e-6)


@pytest.mark.parametrize("name", [name for name in ROWS if "large" not in name])
def test_a_draw_goes_by_the_distribution(name: str) -> None:
    logits = ROWS[name]
    for sampling in SETTINGS[::5]:
        distribution = kept(logits, sampling)
        ends = distribution.cumsum()
        for number in numpy.linspace(0.0, 0.999, 23):
            place = int(numpy.searchsorted(ends, number, side="right"))
            token = draw(logits, sampling, float(number))
            if token != place:  # The number lies between the two, within the rounding of the weights.
                assert abs(ends[min(place, token)] - number) < 1e-5
                assert distribution[token] > 0


def test_tokens_that_tie_with_the_last_one_kept_are_kept_too() -> None:
    tied = numpy.zeros(500, numpy.float32)
    tied[[7, 70, 300]] = 2.0
    for sampling in (Sampling(top_k=1), Sampling(top_p=0.001), Sampling(top_k=2, top_p=0.1), Sampling(min_p=0.5)):
        assert numpy.flatnonzero(kept(tied, sampling)).tolist() == [7, 70, 300]
        assert {draw(tied, sampling, number) for number in (0.0, 0.4, 0.9)} == {7, 70, 300}
    assert (kept(numpy.zeros(500, numpy.float32), Sampling(top_k=10, top_p=0.3)) > 0).all()


def test_only_one_token_that_is_possible_is_taken() -> None:
    logits = numpy.full(400, -numpy.inf, numpy.float32)
    logits[123] = -5.0
    for sampling in SETTINGS:
        for number in (0.0, 0.5, math.nextafter(1.0, 0.0)):
            assert draw(logits, sampling, number) == 123
    assert Sampler(Sampling(temperature=0.0), []).choose(logits).token == 123


def test_an_impossible_token_is_never_drawn() -> None:
    logits = numpy.array([-numpy.inf, 1.0, 1.0, -numpy.inf], numpy.float32)
    assert draw(logits, Sampling(), 0.0) == 1
    assert draw(logits, Sampling(), math.nextafter(1.0, 0.0)) == 2


def test_frequencies_are_the_probabilities() -> None:
    logits = numpy.log(numpy.array([0.5, 0.3, 0.2], numpy.float32))
    sampler = Sampler(Sampling(seed="1"), [])
    counts = Counter(sampler.choose(logits).token for _ in range(20_000))
    assert [counts[token] / 20_000 for token in range(3)] == pytest.approx([0.5, 0.3, 0.2], abs=0.015)


@pytest.mark.parametrize("filters", [{"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}, {"temperature": 0.0}])
def test_the_narrowest_filters_leave_the_best_token(filters: dict[str, Any]) -> None:
    for logits in ROWS.values():
        assert Sampler(Sampling(**filters), []).choose(logits).token == logits.argmax()


@pytest.mark.parametrize("seed", range(40))
def test_the_best_are_those_of_a_whole_sort(seed: int) -> None:
    dice = random.Random(seed)
    size = dice.choice((1, 2, 63, 64, 65, 127, 129, 1000, 4097, 151_936))
    count = min(size, dice.choice((1, 2, 5, 20, 40, 1000)))
    tied = seed % 3 == 0
    logits = normal(size, 2.0, seed).round(1) if tied else normal(size, 2.0, seed)
    expected = numpy.flatnonzero(logits >= numpy.sort(logits)[::-1][count - 1])
    assert best(logits, count).tolist() == sorted(best(logits, count).tolist())
    assert sorted(best(logits, count).tolist()) == expected.tolist()


def test_presence_and_frequency_penalties_count_the_answer_alone() -> None:
    logits = numpy.array([3.0, 2.5, 2.0], numpy.float32)
    sampler = Sampler(Sampling(temperature=0.0, presence_penalty=0.6, frequency_penalty=0.3), [0, 0, 0])
    # 3.0 wins; then 3.0-0.9 < 2.5; then 2.1, 1.6, 2.0; then 1.8, 1.6, 2.0; then 1.8, 1.6, 1.1
    assert [sampler.choose(logits).token for _ in range(5)] == [0, 1, 0, 2, 0]


def test_repetition_penalty_divides_and_multiplies_what_prompt_and_answer_have() -> None:
    logits = numpy.array([3.0, 2.9, -1.0, -0.9], numpy.float32)
    sampler = Sampler(Sampling(temperature=0.0, repetition_penalty=1.2), [0, 0])
    assert [sampler.choose(logits).token for _ in range(2)] == [1, 0]
    logits = numpy.array([-1.0, -0.9, -5.0], numpy.float32)
    assert Sampler(Sampling(temperature=0.0, repetition_penalty=1.2), [1]).choose(logits).token == 0


def test_logit_bias_forbids_and_forces() -> None:
    logits = numpy.array([3.0, 2.5, 2.0], numpy.float32)
    assert Sampler(Sampling(temperature=0.0, logit_bias={0: -100.0}), []).choose(logits).token == 1
    assert Sampler(Sampling(logit_bias={2: 100.0}), []).choose(logits).token == 2


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("count", [0, 1, 5, 20])
def test_log_probabilities_are_those_of_double_precision(name: str, count: int) -> None:
    logits = ROWS[name]
    exact = logits.astype(numpy.float64)
    expected = exact - exact.max() - numpy.log(numpy.exp(exact - exact.max()).sum())
    order = numpy.argsort(-exact, kind="stable")[:count].tolist()
    choice = report(logits, 3, count)
    assert choice.logprob == pytest.approx(expected[3], abs=2e-5)
    assert [token for token, _ in choice.alternatives] == order
    assert [value for _, value in choice.alternatives] == pytest.approx(expected[order], abs=2e-5)


def test_log_probabilities_come_from_the_raw_logits() -> None:
    logits = numpy.array([3.0, 2.5, 2.0, -1.0], numpy.float32)
    settings = Sampling(temperature=0.1, top_k=1, logit_bias={2: 100.0}, logprobs=2)
    assert Sampler(settings, []).choose(logits) == report(logits, 2, 2)


def test_the_logits_given_are_not_changed() -> None:
    logits = normal(300, 2.0)
    before = logits.copy()
    settings = Sampling(
        repetition_penalty=2.0, presence_penalty=1.0, logit_bias={0: 1.0}, top_k=2, top_p=0.5, min_p=0.1, logprobs=3
    )
    sampler = Sampler(settings, [0, 5, 5])
    for _ in range(5):
        sampler.choose(logits)
    assert (logits == before).all()


def test_a_constraint_comes_after_everything_that_could_undo_it() -> None:
    class Third:
        accepted: list[int] = []

        def mask(self) -> bytes:
            return (1 << 2).to_bytes(4, "little")

        def accept(self, token: int) -> None:
            self.accepted.append(token)

        def copy(self) -> "Third":
            return self

    sampler = Sampler(Sampling(logit_bias={0: 100.0}, repetition_penalty=9.0), [2], Third())
    assert sampler.choose(normal(10, 1.0)).token == 2
    assert Third.accepted == [2]


MIXED = [
    {},
    {"temperature": 0.0},
    {"temperature": 0.7, "top_p": 0.9},
    {"temperature": 1.5, "top_k": 40},
    {"temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0.05},
    {"min_p": 0.1},
    {"top_p": 0.99},
    {"repetition_penalty": 1.3, "temperature": 0.8},
    {"presence_penalty": 0.7, "frequency_penalty": 0.4, "top_p": 0.8},
    {"logit_bias": {5: 4.0, 17: -3.0}, "temperature": 1.2, "min_p": 0.02},
    {"repetition_penalty": 1.1, "presence_penalty": -0.5, "top_k": 50, "top_p": 0.9, "logprobs": 5},
    {"temperature": 0.0, "repetition_penalty": 1.5, "logprobs": 2},
]


@pytest.mark.parametrize("settings", MIXED, ids=str)
def test_a_seed_chooses_what_universal_text_chooses(settings: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    text = pytest.importorskip("universal_text.causal.sampling")
    logits = [normal(2000, 1.0 + place % 5, place) for place in range(120)]
    prompt = [3, 5, 5, 900]
    for seed in ("1:0", "2:0"):
        ours = Sampler(Sampling(seed=seed, **settings), prompt)
        other = text.Sampler(Sampling(seed=seed, **settings), prompt)
        for row in logits:
            one, two = ours.choose(row), other.choose(torch.from_numpy(row.copy()))
            assert one.token == two.token
            assert_same_report(one, two)


def assert_same_report(one: Choice, two: Choice) -> None:
    assert one.logprob == (None if two.logprob is None else pytest.approx(two.logprob, abs=1e-4))
    assert [token for token, _ in one.alternatives] == [token for token, _ in two.alternatives]
    values = [value for _, value in two.alternatives]
    assert [value for _, value in one.alternatives] == pytest.approx(values, abs=1e-4)
