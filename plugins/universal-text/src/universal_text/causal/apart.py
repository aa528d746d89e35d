"""Whether a model that reads its rows one by one keeps them apart: found out by trying."""

from typing import Any

import torch
from torch import Tensor

from universal_core import LoadFailed
from universal_core.conversation import Row, Sequence
from universal_text.causal.inputs import Inputs
from universal_text.causal.solo import SoloRunner
from universal_text.side_by_side import apart

_LENGTHS = (5, 3)
# How far logits may be apart, as a share of their spread; 16-bit numbers round coarsely.
_EXACT, _ROUGH = 3e-3, 0.3


def refuse_mixing(model: Any) -> None:
    """Raise LoadFailed for a model that keeps what it has read in itself, where two texts get mixed up."""
    runner = SoloRunner(model, Inputs(model))
    first, second = (_begun([place * 7 + length for place in range(length)]) for length in _LENGTHS)
    whole = _read(runner, _begun(first.tokens), first.unread)
    _read(runner, first, first.unread - 1)
    _read(runner, second, second.unread)
    if not apart(whole, _read(runner, first, 1)) <= (_EXACT if model.dtype == torch.float32 else _ROUGH):
        raise LoadFailed(
            f"transformers keeps what {type(model).__name__} has read in the model itself, so that two answers would "
            "be mixed up; it cannot be served by the backend text"
        )


def _begun(tokens: list[int]) -> Sequence:
    return Sequence(tokens, None, None, limit=1, ends=())  # type: ignore[arg-type]


@torch.inference_mode()
def _read(runner: SoloRunner, sequence: Sequence, count: int) -> Tensor:
    """Return the logits after the next tokens of a text."""
    (logits,) = runner.step([Row(sequence, sequence.take(count))])
    if not isinstance(logits, Tensor):
        raise LoadFailed(f"transformers cannot run this model: {logits}")
    return logits.float()
