"""Whether a model can read many rows in one forward pass: found out by trying."""

import itertools
from typing import Any

import torch
from torch import Tensor

from universal_text.causal.batching.attention import NAME
from universal_text.causal.batching.forward import Forward
from universal_text.causal.batching.step import Step, side_by_side
from universal_text.causal.batching.store import Store
from universal_text.side_by_side import Unsupported, check_equal, check_positions, trial_of

_LENGTHS = (9, 4, 6)
# How far the logits of the two ways may be apart: 16-bit numbers round coarsely, and another expert of a mixture may
# win by a hair.
_EXACT, _ROUGH = 1e-3, 0.3


class Trial:
    """Reads a few texts beside one another, and compares with what each gives alone."""

    def __init__(self, model: Any) -> None:
        """Read each text alone. Raises Unsupported for what is known to be in the way."""
        self._text = model.config.get_text_config()
        _check_kind(model)
        self._model = model
        self._forward = Forward(model)
        self._rows = _rows(self._text.vocab_size)
        self._expected = [self._alone(row) for row in self._rows]
        # Before anything about the weights is changed.
        self._most = _EXACT if model.dtype == torch.float32 else _ROUGH

    def run(self) -> None:
        """Read all but the last token of each text, then, beside one another, the last ones.

        The model has the attention of this package. Raises Unsupported where the logits come out otherwise.
        """
        store = self.store = Store(sum(_LENGTHS))
        _, first = self._step(store, [row[:-1] for row in self._rows], [0] * len(self._rows))
        logits, _ = self._step(store, [row[-1:] for row in self._rows], [len(row) - 1 for row in self._rows])
        _check_layers(self._text, first)
        for want, found in zip(self._expected, logits, strict=True):
            check_equal(want, found, self._most)

    def _step(self, store: Store, rows: list[list[int]], read: list[int]) -> tuple[Tensor, Step]:
        lengths = ((number, len(row), read[number] + len(row)) for number, row in enumerate(rows))
        segments = side_by_side(store, lengths)
        step = Step(store, segments, together=False)
        ends = [one.place + one.tokens - 1 for one in segments]
        return self._forward(step, [token for row in rows for token in row], ends), step

    @torch.inference_mode()
    def _alone(self, row: list[int]) -> Tensor:
        tokens = torch.tensor([row], device=self._model.device)
        logits: Tensor = self._model(input_ids=tokens, use_cache=False).logits[0, -1]
        return logits


def try_together(model: Any) -> Trial:
    """Give a model the attention of this package; return the trial that it has passed with it.

    Raises Unsupported, with the reason, for a model that must read its rows one by one; it is left as it was.
    """
    with trial_of(model):
        trial = Trial(model)
        model.set_attn_implementation(NAME)
        trial.run()
    return trial


def _check_kind(model: Any) -> None:
    """Refuse what is known to be otherwise before anything is run."""
    if getattr(model, "_is_stateful", False):
        raise Unsupported("it has layers with a recurrent state")
    if not getattr(model, "_supports_attention_backend", False):
        raise Unsupported("it has an attention of its own")
    check_positions(model)


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


def _rows(vocabulary: int) -> list[list[int]]:
    """Return some texts of tokens from all over the vocabulary."""
    numbers = itertools.count(1)
    return [[next(numbers) * 7919 % vocabulary for _ in range(length)] for length in _LENGTHS]
