"""Models with a head: what is below the head reads its texts side by side, and the head gets them padded."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from universal_text.linear import leave_files, prepare
from universal_text.packing.forward import ROUGH, PackedForward, check_kind, trial_rows
from universal_text.side_by_side import Unsupported, check_equal


def pack(model: PreTrainedModel, running: Callable[[], AbstractContextManager[Any]]) -> None:
    """Let the transformer below a model's head read texts without their padding; the head knows nothing of it.

    Raises Unsupported, with the reason, for one that cannot; it is left as it was.
    """
    base: Any = model.base_model
    if base is model:
        raise Unsupported("it has no head")
    check_kind(base)
    usual, attention = base.forward, base.config._attn_implementation
    try:
        expected = _logits(model)
        forward = PackedForward(base, running)
        base.forward = _Unpadded(base, forward)
        check_equal(expected, _logits(model), ROUGH)
    except (Unsupported, RuntimeError, AttributeError, TypeError, ValueError) as error:
        base.forward = usual
        base.set_attn_implementation(attention)
        raise Unsupported(str(error)) from error
    if prepare(base, forward.check):
        leave_files(model)


@torch.inference_mode()
def _logits(model: PreTrainedModel) -> Tensor:
    ids = torch.tensor([trial_rows(model)[0]], device=model.device)
    logits: Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return logits


class _Unpadded:
    """Stands in for the forward pass of a transformer: padded inputs to padded hidden states."""

    def __init__(self, base: PreTrainedModel, forward: PackedForward) -> None:
        self._forward = forward
        self._pooler: Any = getattr(base, "pooler", None)

    def __call__(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **others: Any,
    ) -> Any:
        """Return (texts, longest, size), with zeros where there is padding, on whichever side it is."""
        real = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
        types = None if token_type_ids is None else token_type_ids[real]
        hidden = self._forward(input_ids[real], real.sum(1).tolist(), types)
        padded = hidden.new_zeros(*real.shape, hidden.shape[-1])
        padded[real] = hidden
        pooled = {} if self._pooler is None else {"pooler_output": self._pooler(padded)}
        return self._forward.kind(last_hidden_state=padded, **pooled)
