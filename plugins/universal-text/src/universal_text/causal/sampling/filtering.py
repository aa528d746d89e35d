"""What top_k, top_p and min_p keep, each of what the one before left: all tokens from a least logit on.

So what ties with the last token kept is kept as well. What is kept nearly always lies among the best few hundred
tokens, the head of a row. Where it may not, the least logit is found by two sums over the digits of all of them:
sorting a vocabulary of 150,000 takes as long as a small model's forward pass.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_DEPTH = 32
_HALF = 16
_DIGITS = 1 << _HALF


@dataclass(frozen=True, slots=True)
class Draws:
    """By what rows are drawn, each a column ``[rows, 1]``; ``number`` lies in [0, 1).

    Off are ``top_k`` 0, ``top_p`` infinite and ``min_p`` 0.
    """

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    min_p: Tensor
    number: Tensor

    def of(self, rows: slice) -> "Draws":
        """Return those of some rows."""
        columns = self.temperature, self.top_k, self.top_p, self.min_p, self.number
        return Draws(*(column[rows] for column in columns))


def head(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the ``count`` best logits of each row of ``[rows, vocabulary]``, best first, and their tokens.

    They lie in the columns with the best maxima, where the vocabulary is written as a table.
    """
    size = logits.shape[-1]
    width = size // _DEPTH
    if count >= width:
        values, tokens = logits.topk(min(count, size))
        return values, tokens
    columns = logits[:, : width * _DEPTH].reshape(-1, _DEPTH, width).amax(1).topk(count, sorted=False).indices
    depths = torch.arange(0, width * _DEPTH, width, device=logits.device)[:, None]
    rest = torch.arange(width * _DEPTH, size, device=logits.device).expand(len(logits), -1)
    tokens = torch.cat([(columns[:, None] + depths).flatten(1), rest], -1)
    values, places = logits.gather(-1, tokens).topk(count)
    return values, tokens.gather(-1, places)


def least_kept(values: Tensor, draws: Draws, totals: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least value that is kept, ``[rows, 1]``, and whether it is sure that nothing else is, ``[rows]``.

    ``values`` are a row's best logits, scaled by its temperature, best first. ``totals`` are the weights of all tokens.
    The best is always kept; top_p keeps the fewest that reach its share together (https://arxiv.org/abs/1904.09751),
    min_p those that are at least so many times as likely as the best (https://arxiv.org/abs/2407.01082).
    """
    limited = draws.top_k > 0
    last = values.gather(-1, (draws.top_k - 1).clamp(0, values.shape[-1] - 1)).where(limited, -torch.inf)
    weights = _weights(values, draws).where(values >= last, 0)
    sums = weights.cumsum(-1)
    enough = draws.top_p * sums[:, -1:].where(limited, totals.to(sums.dtype))
    kept = (values >= last) & (sums - weights < enough) & (weights >= draws.min_p)
    kept[:, 0] = True
    least = values.where(kept, torch.inf).amin(-1, keepdim=True)
    end = values[:, -1:]
    return least, ((last.where(limited, least) > end) | (end == -torch.inf))[:, 0]


def least_of_all(values: Tensor, draws: Draws) -> Tensor:
    """Return what ``least_kept`` returns, from all of a row's values, ``[rows, vocabulary]``, in any order."""
    keys, best = _keys(values), values.amax(-1, keepdim=True)
    least = best + draws.min_p.log().to(best.dtype)
    weights = _weights(values, draws, best)
    limited = draws.top_k > 0
    # Few rows come here, so asking the device costs less than sums that no row needs.
    if limited.any():
        last = _reached(keys, torch.ones_like(weights), draws.top_k).where(limited, -torch.inf)
        weights = weights.where(values >= last, 0)
        least = least.maximum(last)
    if draws.top_p.isfinite().any():
        # A share of 0 keeps the best, which has nothing above it.
        share = (draws.top_p * weights.cumsum(-1)[:, -1:]).clamp(min=torch.finfo(weights.dtype).tiny)
        least = least.maximum(_reached(keys, weights, share))
    return least.minimum(best)


def _reached(keys: Tensor, weights: Tensor, aim: Tensor) -> Tensor:
    """Return the least value such that the weights of all that are greater do not reach ``aim``, ``[rows, 1]``."""
    high = (keys >> _HALF) + _DIGITS // 2
    first, rest = _digit(high, weights, aim)
    second, _ = _digit(keys & (_DIGITS - 1), weights.where(high == first, 0), rest)
    value = _values(((first - _DIGITS // 2) << _HALF) | second)
    return value.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)


def _digit(digits: Tensor, weights: Tensor, aim: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least digit such that the weights of greater ones do not reach ``aim``, and what they lack."""
    sums = torch.zeros(len(digits), _DIGITS, dtype=weights.dtype, device=weights.device)
    sums.scatter_add_(-1, digits.long(), weights)
    above = sums.flip(-1).cumsum(-1).flip(-1) - sums
    digit = (above >= aim).sum(-1, keepdim=True)
    return digit, aim - above.gather(-1, digit.clamp(max=_DIGITS - 1))


def _keys(values: Tensor) -> Tensor:
    """Return integers in the order of fp32 numbers: those below 0 have their bits the other way round."""
    bits = values.contiguous().view(torch.int32)
    return bits ^ ((bits >> 31) & torch.iinfo(torch.int32).max)


def _values(keys: Tensor) -> Tensor:
    """Return the numbers that ``_keys`` made integers of."""
    return (keys ^ ((keys >> 31) & torch.iinfo(torch.int32).max)).to(torch.int32).view(torch.float32)


def _weights(values: Tensor, draws: Draws, best: Tensor | None = None) -> Tensor:
    """Return how likely each value is beside the best, which is the first where it is not told."""
    return (values - (values[:, :1] if best is None else best)).to(draws.number.dtype).exp()
