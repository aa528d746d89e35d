"""Whether a model can read many rows in one forward pass: found out by trying."""

import itertools
from typing import Any

import torch
from torch import Tensor

from universal_text.causal.batching.attention import NAME
from universal_text.causal.batching.forward import Forward
from universal_text.causal.batching.step import Segment, Step
from universal_text.causal.batching.store import Store
from universal_text.side_by_side import Unsupported, another_attention, check_equal, check_positions

_LENGTHS = (9, 4, 6)
# How far the logits of the two ways may be apart: 16-bit numbers round coarsely, and another expert of a mixture may
# win by a hair.
_EXACT, _ROUGH = 1e-3, 0.3


def try_together(model: Any) -> Store:
    """Give a model the attention of this package, and try it; return the store of the attempt.

    Raises Unsupported, with the reason, for a model that must read its rows one by one; it is left as it was.
    """
    text = model.config.get_text_config()
    _check_kind(model, text)
    expected = [_alone(model, row) for row in _rows(text.vocab_size)]
    with another_attention(model, NAME):
        return _try(model, text, expected)


def _check_kind(model: Any, text: Any) -> None:
    """Refuse what is known to be otherwise before anything is run."""
    if getattr(model, "_is_stateful", False):
        raise Unsupported("it has layers with a recurrent state")
    if not getattr(model, "_supports_attention_backend", False):
        raise Unsupported("it has an attention of its own")
    check_positions(model)


def _try(model: Any, text: Any, expected: list[Tensor]) -> Store:
    """Read three texts beside one another: all but the last token of each, then, beside the last of these, one more."""
    rows = _rows(text.vocab_size)
    store, forward = Store(sum(_LENGTHS)), Forward(model)
    first = _step(store, forward, [row[:-1] for row in rows], [0] * len(rows))
    second = _step(store, forward, [row[-1:] for row in rows], [len(row) - 1 for row in rows])
    _check_layers(text, first[1])
    for want, found in zip(expected, second[0], strict=True):
        check_equal(want, found, _EXACT if model.dtype == torch.float32 else _ROUGH)
    return store


def _step(store: Store, forward: Forward, rows: list[list[int]], read: list[int]) -> tuple[Tensor, Step]:
    for number, row in enumerate(rows):
        store.fit(number, read[number] + len(row))
    places = [0, *itertools.accumulate(map(len, rows))]
    segments = [
        Segment(places[number], len(row), store.start(number), read[number] + len(row))
        for number, row in enumerate(rows)
    ]
    step = Step(store, segments, together=False)
    return forward(step, [token for row in rows for token in row], [place - 1 for place in places[1:]]), step


def _check_layers(text: Any, step: Step) -> None:
    """Refuse a model some of whose layers do not attend, or look back otherwise than its configuration says."""
    if len(step.windows) != text.num_hidden_layers:
        raise Unsupported(
            f"{len(step.windows)} of its {text.num_hidden_layers} layers have keys and values of their own"
        )
    kinds = getattr(text, "layer_types", None) or []
    if unknown := set(kinds) - {"full_attention", "sliding_attention"}:
        raise Unsupported(f"it has layers of the kind {', '.join(sorted(unknown))}")
    window = getattr(text, "sliding_window", None) if getattr(text, "use_sliding_window", True) else None
    sliding = [layer for layer, kind in enumerate(kinds) if kind == "sliding_attention"]
    if kinds and {layer for layer, seen in step.windows.items() if seen} != set(sliding):
        raise Unsupported("its layers do not tell how far they look back")
    if not kinds and window and not any(step.windows.values()):
        raise Unsupported("its layers do not tell how far they look back")


@torch.inference_mode()
def _alone(model: Any, row: list[int]) -> Tensor:
    """Return the logits after the last token of a text that is read by itself."""
    logits: Tensor = model(input_ids=torch.tensor([row], device=model.device), use_cache=False).logits[0, -1]
    return logits


def _rows(vocabulary: int) -> list[list[int]]:
    """Return some texts of tokens from all over the vocabulary."""
    numbers = itertools.count(1)
    return [[next(numbers) * 7919 % vocabulary for _ in range(length)] for length in _LENGTHS]
