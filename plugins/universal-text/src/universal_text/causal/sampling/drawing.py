"""From adjusted logits to tokens, for many rows at once: the best token, or a draw from what the filters leave.

What a row gives depends on nothing but the row: no sum is split in a way that follows from how many rows or threads
there are. On a CPU, rows are worked through a few at a time where that takes memory of a row's size: fresh memory costs
ten times what is computed in it.
"""

import torch
from torch import Tensor

from universal_text.causal.sampling.filtering import Draws, head, least_kept, least_of_all
from universal_text.causal.sampling.sending import parts_of

_BLOCKS = 64
_WIDTH = 512


def best(logits: Tensor) -> Tensor:
    """Return the first of the best tokens of each row of ``[rows, vocabulary]``.

    The maxima of blocks lead to it: on a CPU, argmax over a whole row takes ten times as long, since it is not made
    of vector instructions.
    """
    size = logits.shape[-1]
    step = size // _BLOCKS
    if step < _BLOCKS:
        return logits.argmax(-1)
    # The blocks overlap a little where their number does not divide the vocabulary's size.
    blocks = logits.unfold(-1, size - (_BLOCKS - 1) * step, step)
    block = blocks.amax(-1).argmax(-1)
    return block * step + blocks[torch.arange(len(logits), device=logits.device), block].argmax(-1)


def draw(logits: Tensor, draws: Draws, least: Tensor | None = None) -> Tensor:
    """Return for each row of ``[rows, vocabulary]`` a token drawn from all, or from those not below ``least``.

    ``least`` is scaled by the temperature, ``[rows, 1]``. It is the token at which the sum of the probabilities so far,
    in the order of the vocabulary, passes the row's number. Sums of blocks lead there.
    """
    sums = torch.cat([_block_sums(logits[few], draws.of(few), _of(least, few)) for few in parts_of(logits)])
    ends = sums.cumsum(-1)
    aim = draws.number * ends[:, -1:]
    block = passed(sums, aim)
    share = ((aim - ends.gather(-1, block)) / sums.gather(-1, block) + 1).clamp(0, 1)
    tokens = block * _WIDTH + torch.arange(_WIDTH, device=logits.device)
    scaled = logits.gather(-1, tokens.clamp(max=logits.shape[-1] - 1)) / draws.temperature
    outside = tokens >= logits.shape[-1] if least is None else (tokens >= logits.shape[-1]) | (scaled < least)
    weights = scaled.masked_fill(outside, -torch.inf).softmax(-1, dtype=share.dtype)
    return tokens.gather(-1, passed(weights, share * weights.cumsum(-1)[:, -1:]))[:, 0]


def draw_by_head(logits: Tensor, draws: Draws, totals: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return for each row a token drawn from what the filters leave of its ``count`` best, and whether that is sure.

    It is not where the filters may leave more. ``totals`` is what ``weight_of_all`` returns, for the rows of which the
    filters need it.
    """
    values, tokens = head(logits, count)
    values = values / draws.temperature
    least, sure = least_kept(values, draws, totals)
    # What is left out goes to the end, without weight.
    order = tokens.where(values >= least, logits.shape[-1]).sort(-1)
    weights = values.masked_fill(values < least, -torch.inf).softmax(-1, dtype=draws.number.dtype)
    weights = weights.gather(-1, order.indices)
    place = passed(weights, draws.number * weights.cumsum(-1)[:, -1:])
    return order.values.gather(-1, place)[:, 0], sure


def draw_by_all(logits: Tensor, draws: Draws) -> Tensor:
    """Return for each row a token drawn from what the filters leave of all its tokens."""
    least = [least_of_all(logits[few] / draws.of(few).temperature, draws.of(few)) for few in parts_of(logits)]
    return draw(logits, draws, torch.cat(least))


def weight_of_all(logits: Tensor, temperature: Tensor) -> Tensor:
    """Return the sum of the weights of all of a row's tokens, ``[rows, 1]``; the best token's weight is 1."""
    parts = [(logits[few] / temperature[few]).softmax(-1).amax(-1, keepdim=True) for few in parts_of(logits)]
    return 1 / torch.cat(parts)


def passed(weights: Tensor, aim: Tensor) -> Tensor:
    """Return the place at which the sum of each row's weights passes ``aim``, ``[rows, 1]``; its weight is above 0."""
    sums = weights.cumsum(-1)
    # Only a weight makes the sum grow, so only such a place can be the first to pass. By rounding, the aim may lie
    # outside.
    aim = aim.clamp(min=0).minimum(torch.nextafter(sums[:, -1:], torch.zeros_like(aim)))
    return torch.searchsorted(sums, aim, right=True).clamp(max=weights.shape[-1] - 1)


def _block_sums(logits: Tensor, draws: Draws, least: Tensor | None) -> Tensor:
    """Return the probability of each block of tokens, ``[rows, blocks]``."""
    scaled = logits / draws.temperature
    if least is not None:
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    probabilities = scaled.softmax(-1)
    whole = logits.shape[-1] // _WIDTH * _WIDTH
    sums = [probabilities[:, :whole].reshape(len(logits), -1, _WIDTH).sum(-1)] if whole else []
    if whole < logits.shape[-1]:
        sums.append(probabilities[:, whole:].sum(-1, keepdim=True))
    return torch.cat(sums, -1).to(draws.number.dtype)


def _of(least: Tensor | None, rows: slice) -> Tensor | None:
    return None if least is None else least[rows]
