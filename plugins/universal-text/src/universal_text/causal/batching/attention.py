"""Attention of many sequences in one forward pass of a model that knows nothing of them.

The rows of a step go through the model side by side, as if they were one text. All that a transformer does is done
for each token by itself, but for attention. So the model is given this attention, in the way that transformers has
for it: each row looks at its own keys and values in the store, and at nothing else.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

from universal_text.causal.batching.step import Attention, Step
from universal_text.side_by_side import Current, Unsupported, check_call

NAME = "universal_batching"
"""What transformers knows this attention by. It has no masks of that name, so it makes none."""

_HARMLESS = frozenset(("dropout", "is_causal", "layer_type", "output_router_logits", "position_ids", "use_cache"))
_current: Current[Step] = Current()
attending = _current.being
"""Lets the forward passes of this thread be those of a step."""


class Abandoned(RuntimeError):
    """Nobody waits for the step any more."""


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Return ``[1, tokens, heads, size]`` for the tokens of a step, whose keys and values are kept; transformers' call.

    ``query`` is ``[1, heads, tokens, size]``. Raises Unsupported, and Abandoned before a layer that nobody needs.
    """
    step = _current.texts
    if step.abandoned:
        raise Abandoned
    check_call(query, key, attention_mask, others, _HARMLESS)
    if others.get("is_causal") is False:
        raise Unsupported("its tokens look at those behind them")
    step.windows[module.layer_idx] = sliding_window
    kept = step.store.write(module.layer_idx, key[0], value[0], step.cells(key.device))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return step.attend(kept, query[0], Attention(scale, sliding_window, softcap, s_aux))[None], None


# Its loops over rows would be compiled anew for every number of them.
AttentionInterface.register(NAME, torch.compiler.disable(attend))  # type: ignore[no-untyped-call]
