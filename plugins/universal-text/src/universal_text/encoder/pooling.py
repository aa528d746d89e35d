"""From a vector per token to a vector per text."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from universal_text.encoder.options import PoolingMode


def pool(hidden: Tensor, mask: Tensor, modes: Sequence[PoolingMode], skipped: Tensor | None = None) -> Tensor:
    """Return one float32 vector per text, those of several modes side by side: (batch, modes * size).

    ``hidden`` is (batch, tokens, size). ``mask`` is (batch, tokens), true where there is a token rather than
    padding; padding may be on either side. ``skipped`` is (batch,): tokens at the start of each text that do
    not count, because they are a prompt's.
    """
    if skipped is not None:
        mask = _without_prompt(mask, skipped)
    return torch.cat([_POOLS[mode](hidden, mask) for mode in modes], dim=-1)


def _without_prompt(mask: Tensor, skipped: Tensor) -> Tensor:
    """Take the first tokens out; a text that is nothing but prompt keeps them, for it would have no vector."""
    kept = mask & (mask.cumsum(1) > skipped[:, None])
    return torch.where(kept.any(1, keepdim=True), kept, mask)


def _first(hidden: Tensor, mask: Tensor) -> Tensor:
    return _at(hidden, mask.int().argmax(1))


def _last(hidden: Tensor, mask: Tensor) -> Tensor:
    return _at(hidden, mask.shape[1] - 1 - mask.flip(1).int().argmax(1))


def _at(hidden: Tensor, place: Tensor) -> Tensor:
    return hidden[torch.arange(len(hidden), device=hidden.device), place].float()


def _max(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden.masked_fill(~mask[..., None], float("-inf")).amax(1).float()


def _sum(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden.masked_fill(~mask[..., None], 0).sum(1, dtype=torch.float32)


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    return _sum(hidden, mask) / mask.sum(1, keepdim=True)


def _mean_sqrt(hidden: Tensor, mask: Tensor) -> Tensor:
    return _sum(hidden, mask) / mask.sum(1, keepdim=True).sqrt()


def _weighted_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Weigh each token by its place, counted from 1 (SGPT, https://arxiv.org/abs/2202.08904)."""
    weights = mask * torch.arange(1, mask.shape[1] + 1, device=mask.device, dtype=torch.float32)
    return torch.einsum("bt,bts->bs", weights, hidden.float()) / weights.sum(1, keepdim=True)


_POOLS: dict[PoolingMode, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": _first,
    "max": _max,
    "mean": _mean,
    "mean_sqrt": _mean_sqrt,
    "weightedmean": _weighted_mean,
    "last": _last,
}
