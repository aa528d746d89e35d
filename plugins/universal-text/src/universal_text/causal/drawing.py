"""From adjusted logits to tokens, for many rows at once: the best token, or a draw from what the filters leave.

Every filter is a least value that a token must have, so tokens that tie with the last one kept are kept too.
All of them nearly always lie among the best few hundred tokens, the head of a row. Where the head may not hold
all that is kept, the row is drawn again with a longer head: sorting a vocabulary of 150,000 takes as long
as a small model's forward pass.

What a row gives depends on nothing but the row: sums that are split among threads, or that follow from how many rows
there are, are avoided.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_BLOCKS = 64
_DEPTH = 32
_WIDTH = 512


@dataclass(frozen=True, slots=True)
class Draws:
    """The parameters of rows that are drawn, each a column ``[rows, 1]``; ``number`` lies in [0, 1).

    Off are ``top_k`` 0, ``top_p`` infinite and ``min_p`` 0.
    """

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    min_p: Tensor
    number: Tensor


def best(logits: Tensor) -> Tensor:
    """Return the first of the best tokens of each row of ``[rows, vocabulary]``.

    The best of a block's maxima leads to the block. On a CPU that takes a tenth of argmax's time, which is not made of
    vector instructions.
    """
    size = logits.shape[-1]
    step = size // _BLOCKS
    if step < _BLOCKS:
        return logits.argmax(-1)
    # The blocks overlap a little where their number does not divide the vocabulary's size.
    blocks = logits.unfold(-1, size - (_BLOCKS - 1) * step, step)
    block = blocks.amax(-1).argmax(-1)
    rows = torch.arange(len(logits), device=logits.device)
    return block * step + blocks[rows, block].argmax(-1)


def head(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the ``count`` best logits of each row of ``[rows, vocabulary]``, best first, and their tokens.

    They lie in the columns with the best maxima, where the vocabulary is written as a table.
    """
    width = logits.shape[-1] // _DEPTH
    if count >= width:
        return logits.topk(min(count, logits.shape[-1]))  # type: ignore[return-value]
    table = logits[:, : width * _DEPTH].unflatten(-1, (_DEPTH, width))
    columns = table.amax(1).topk(count, sorted=False).indices
    depths = torch.arange(_DEPTH, device=logits.device)[:, None] * width
    tokens = (columns[:, None] + depths).flatten(1)
    rest = torch.arange(width * _DEPTH, logits.shape[-1], device=logits.device).expand(len(logits), -1)
    tokens = torch.cat([tokens, rest], -1)
    values, places = logits.gather(-1, tokens).topk(count)
    return values, tokens.gather(-1, places)


def draw_open(logits: Tensor, draws: Draws) -> Tensor:
    """Return for each row of ``[rows, vocabulary]`` a token drawn from all of them."""
    return _draw_from((logits / draws.temperature).softmax(-1), draws.number)


def draw_filtered(logits: Tensor, draws: Draws, totals: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return for each row a token drawn from what the filters leave of its ``count`` best, and whether that is sure.

    It is not where the filters may leave further tokens. ``totals`` is what ``total`` returns.
    """
    values, tokens = head(logits, count)
    values = values / draws.temperature
    least = least_kept(values, draws, totals)
    end = values[:, -1:]
    sure = (least.lowest > end) | (end == -torch.inf)
    kept = values >= least.value
    order = tokens.where(kept, logits.shape[-1]).sort(-1)
    weights = _weights(values, draws).where(kept, 0).gather(-1, order.indices)
    aim = draws.number * weights.cumsum(-1)[:, -1:]
    return order.values.gather(-1, passed(weights, aim))[:, 0], sure[:, 0]


def draw_whole(logits: Tensor, draws: Draws, totals: Tensor) -> Tensor:
    """Return for each row a token drawn from what the filters leave of all its tokens."""
    scaled = logits / draws.temperature
    least = least_kept(scaled.sort(descending=True).values, draws, totals).value
    return _draw_from(scaled.masked_fill(scaled < least, -torch.inf).softmax(-1), draws.number)


@dataclass(frozen=True, slots=True)
class Least:
    """The least value that the filters keep, and the lowest that one of them depends on, both ``[rows, 1]``."""

    value: Tensor
    lowest: Tensor


def least_kept(values: Tensor, draws: Draws, totals: Tensor) -> Least:
    """Return the least of a row's values that top_k, top_p and min_p keep, each on what the one before left.

    ``values`` are the best of each row, scaled by the temperature, best first. The best is always kept.
    top_p keeps the fewest tokens that reach its share together (https://arxiv.org/abs/1904.09751), min_p those that are
    at least so many times as likely as the best (https://arxiv.org/abs/2407.01082).
    """
    weights = _weights(values, draws)
    limited = draws.top_k > 0
    last = values.gather(-1, (draws.top_k - 1).clamp(0, values.shape[-1] - 1)).where(limited, -torch.inf)
    weights = weights.where(values >= last, 0)
    sums = weights.cumsum(-1)
    enough = draws.top_p * sums[:, -1:].where(limited, totals)
    kept = (values >= last) & (sums - weights < enough) & (weights >= draws.min_p)
    kept[:, 0] = True
    value = values.where(kept, torch.inf).amin(-1, keepdim=True)
    return Least(value, last.where(limited, value))


def total(logits: Tensor, temperature: Tensor) -> Tensor:
    """Return the sum of the weights of all of a row's tokens, fp64 ``[rows, 1]``; the best token's weight is 1."""
    return 1 / (logits / temperature).softmax(-1).amax(-1, keepdim=True).double()


def passed(weights: Tensor, aim: Tensor) -> Tensor:
    """Return the place at which the sum of each row's weights passes ``aim``, ``[rows, 1]``; its weight is above 0."""
    sums = weights.to(aim.dtype).cumsum(-1)
    # Only a weight makes the sum grow. By rounding, the aim may lie outside.
    aim = aim.clamp(min=0).minimum(torch.nextafter(sums[:, -1:], torch.zeros_like(aim)))
    return torch.searchsorted(sums, aim, right=True).clamp(max=weights.shape[-1] - 1)


def _draw_from(weights: Tensor, number: Tensor) -> Tensor:
    """Return for each row the token at which its sum of weights passes the number's share of it.

    Sums of blocks lead there: adding up one number after the other takes far longer than many at a time.
    """
    blocks = functional.pad(weights, (0, -weights.shape[-1] % _WIDTH)).unflatten(-1, (-1, _WIDTH))
    sums = blocks.sum(-1).to(number.dtype)
    before = sums.cumsum(-1)
    aim = number * before[:, -1:]
    block = passed(sums, aim)
    inside = blocks[torch.arange(len(weights), device=weights.device), block[:, 0]]
    place = passed(inside, aim - (before - sums).gather(-1, block))
    return (block * _WIDTH + place)[:, 0]


def _weights(values: Tensor, draws: Draws) -> Tensor:
    """Return how likely each value is beside the best, which stands first."""
    return (values - values[:, :1]).to(draws.number.dtype).exp()
