"""What each token of a step looks at, compared with attention spelled out for one sequence at a time."""

import pytest
import torch
from torch import Tensor

from universal_text.causal.batching.step import Attention, Segment, Step
from universal_text.causal.batching.store import Layer, Store

SHARED, GROUP, SIZE, VALUES = 2, 3, 8, 5
ROWS = [(1, 9), (4, 4), (1, 1), (5, 12), (1, 30)]
"""Tokens read in this step, and those that the row has then."""


def spelled(query: Tensor, keys: Tensor, values: Tensor, attention: Attention) -> Tensor:
    """Return ``[tokens, heads, size]`` for the last tokens of one sequence, head by head and token by token."""
    count, length = query.shape[1], keys.shape[1]
    found = torch.empty(count, query.shape[0], VALUES)
    for head in range(query.shape[0]):
        for token in range(count):
            end = length - count + token + 1
            start = 0 if attention.window is None else max(0, end - attention.window)
            scores = keys[head // GROUP, start:end] @ query[head, token] * attention.scale
            if attention.softcap is not None:
                scores = attention.softcap * torch.tanh(scores / attention.softcap)
            sink = [] if attention.sinks is None else [attention.sinks[head : head + 1]]
            weights = torch.cat([scores, *sink]).softmax(0)[: end - start]
            found[token, head] = weights @ values[head // GROUP, start:end]
    return found


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("sinks", [False, True])
@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("window", [None, 1, 4, 100])
def test_each_token_looks_at_its_own_sequence_and_no_further_than_it_may(
    window: int | None, softcap: float | None, sinks: bool, together: bool
) -> None:
    torch.manual_seed(0)
    attention = Attention(0.3, window, softcap, torch.randn(SHARED * GROUP) if sinks else None)
    store = Store(80)
    for number, (_, length) in enumerate(ROWS):
        store.fit(number, length)
    kept = Layer(torch.randn(SHARED, 80, SIZE), torch.randn(SHARED, 80, VALUES))
    places = [sum(count for count, _ in ROWS[:number]) for number in range(len(ROWS))]
    segments = [
        Segment(places[number], count, store.start(number), length) for number, (count, length) in enumerate(ROWS)
    ]
    query = torch.randn(SHARED * GROUP, sum(count for count, _ in ROWS), SIZE)
    found = Step(store, segments, together=together).attend(kept, query, attention)
    for one in segments:
        mine = slice(one.start, one.start + one.length)
        rows = slice(one.place, one.place + one.tokens)
        expected = spelled(query[:, rows], kept.keys[:, mine], kept.values[:, mine], attention)
        torch.testing.assert_close(found[rows], expected, atol=1e-5, rtol=1e-4)


def test_positions_and_cells_are_those_of_the_last_tokens() -> None:
    step = Step(Store(9), [Segment(0, 2, 20, 5), Segment(2, 1, 3, 1)], together=False)
    device = torch.device("cpu")
    assert step.positions(device).tolist() == [3, 4, 0]
    assert step.cells(device).tolist() == [23, 24, 3]
