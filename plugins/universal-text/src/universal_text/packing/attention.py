"""Attention of many texts in one forward pass of a model that takes them for one.

All that a transformer does is done for each token by itself, but for attention. So texts can stand one behind the
other, without padding, if each of them attends to itself alone. A model of transformers is given this attention in
the way that the library has for it, and makes no mask for it, because no mask is known by its name.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from universal_text.packing.texts import Texts
from universal_text.side_by_side import Current, Unsupported, check_call

NAME = "universal_packing"
"""What transformers knows this attention by."""

# On a processor PyTorch's own attention takes 1.2 to 2 times as long as plain products in bfloat16 while a text's
# scores fit into the cache; beyond that they would also take memory by the square.
_PLAIN_LENGTH = 512
_PLAIN_SCORES = 65536

_HARMLESS = frozenset(
    (
        "deterministic",
        "dropout",
        "layer_type",
        "output_attentions",
        "output_hidden_states",
        "position_ids",
        "use_cache",
    )
)
_current: Current[Texts] = Current()
attending = _current.being
"""Lets the forward passes of this thread be those of some texts."""


class Way(NamedTuple):
    """How tokens of a text attend: the scale of the scores, to earlier tokens only, and to how near ones."""

    scale: float
    causal: bool
    window: int | None

    def seen(self, length: int, device: torch.device) -> Tensor | None:
        """Return (length, length), true where the token of a row sees that of a column, None where it sees all."""
        window = length if self.window is None else self.window
        if window >= length and not self.causal:
            return None
        places = torch.arange(length, device=device)
        back = places[:, None] - places
        seen = back >= 0 if self.causal else torch.ones_like(back, dtype=torch.bool)
        return seen & (back.abs() < window)


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Return (1, tokens, heads, size) for ``query`` of (1, heads, tokens, size): transformers' call.

    Raises Unsupported for what a model wants of its attention and this one has not.
    """
    texts = _current.texts
    check_call(query, key, attention_mask, others, _HARMLESS)
    if query.shape[2] != texts.tokens:
        raise Unsupported("its attention is not one of tokens")
    texts.layers += 1
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    way = Way(query.shape[-1] ** -0.5 if scaling is None else scaling, bool(causal), sliding_window)
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    # Autocast would narrow and widen again what has been put into its dtype already.
    with torch.autocast(query.device.type, enabled=False):
        run = _of_alike if query.device.type == "cpu" else _of_all
        return run(texts, query[0], key[0], value[0].to(query.dtype), way)[None], None


def _of_alike(texts: Texts, query: Tensor, key: Tensor, value: Tensor, way: Way) -> Tensor:
    """Return (tokens, heads, size), neighbours of one length by one call: nothing is copied or padded."""
    sizes = [count * length for count, length in texts.runs]
    found = []
    for (count, length), *parts in zip(
        texts.runs, *(torch.split(part, sizes, 1) for part in (query, key, value)), strict=True
    ):
        # (heads, count * length, size) to (count, heads, length, size)
        split = [part.unflatten(1, (count, length)).transpose(0, 1) for part in parts]
        found.append(_of_equals(split, way).transpose(1, 2).flatten(0, 1))
    return torch.cat(found)


def _of_equals(parts: Sequence[Tensor], way: Way) -> Tensor:
    """Return (texts, heads, length, size) for texts of one length."""
    query, key, value = parts
    length = query.shape[2]
    seen = way.seen(length, query.device)
    if query.dtype != torch.bfloat16 or length > _PLAIN_LENGTH or seen is not None:
        return scaled_dot_product_attention(query, key, value, seen, scale=way.scale)
    step = max(1, _PLAIN_SCORES // length**2)
    chunks = zip(*(torch.split(part, step) for part in parts), strict=True)
    return torch.cat([_plain(*chunk, scale=way.scale) for chunk in chunks])


def _plain(query: Tensor, key: Tensor, value: Tensor, *, scale: float) -> Tensor:
    """Return (texts, heads, length, size) by products of matrices; the shares are weighed in float32."""
    weights = ((query * scale) @ key.transpose(2, 3)).softmax(-1, dtype=torch.float32)
    return weights.to(value.dtype) @ value


def _of_all(texts: Texts, query: Tensor, key: Tensor, value: Tensor, way: Way) -> Tensor:
    """Return (tokens, heads, size) by one call for all texts, padded for it alone: for devices that mind calls."""
    places, real = texts.padded(query.device)
    # (heads, tokens, size) to (texts, heads, longest, size)
    query, key, value = (part[:, places].transpose(0, 1) for part in (query, key, value))
    seen = way.seen(real.shape[1], query.device)
    mask = real[:, None, None] if seen is None else real[:, None, None] & seen
    # A token of padding must see something, or its numbers are none, and so are those of its layer.
    found = scaled_dot_product_attention(query, key, value, mask | ~real[:, None, :, None], scale=way.scale)
    return found.transpose(1, 2)[real]


AttentionInterface.register(NAME, attend)
