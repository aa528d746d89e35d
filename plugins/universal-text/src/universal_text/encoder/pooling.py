"""From a vector per token to a vector per text."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from universal_text.encoder.options import PoolingMode


def pool(
    hidden: Tensor, lengths: Sequence[int], modes: Sequence[PoolingMode], skipped: Sequence[int] | None = None
) -> Tensor:
    """Return one float32 vector per text, those of several modes side by side: (texts, modes * size).

    ``hidden`` is (tokens, size): the texts one behind the other, without padding; ``lengths`` are the tokens of each,
    at least one. ``skipped`` are tokens at the start of each text that do not count, because they are a prompt's; a
    text that is nothing but prompt keeps them, for it would have no vector.
    """
    own = [skip if skip < length else 0 for skip, length in zip(skipped or [0] * len(lengths), lengths, strict=True)]
    texts = _Texts(*torch.tensor([list(lengths), own], device=hidden.device))
    if any(own):
        hidden = hidden[texts.places() >= texts.skipped.repeat_interleave(texts.lengths)]
    return torch.cat([_POOLS[mode](hidden, texts) for mode in modes], dim=-1)


class _Texts(NamedTuple):
    """The tokens of each text, and how many at its start do not count; those that do stand one behind the other."""

    lengths: Tensor
    skipped: Tensor

    def places(self) -> Tensor:
        """Return the place of every token in its text, counted from 0."""
        ends = self.lengths.cumsum(0)
        starts = (ends - self.lengths).repeat_interleave(self.lengths)
        return torch.arange(len(starts), device=starts.device) - starts

    def counts(self) -> Tensor:
        """Return how many tokens of each text count."""
        return self.lengths - self.skipped


def _first(hidden: Tensor, texts: _Texts) -> Tensor:
    return hidden[texts.counts().cumsum(0) - texts.counts()].float()


def _last(hidden: Tensor, texts: _Texts) -> Tensor:
    return hidden[texts.counts().cumsum(0) - 1].float()


def _max(hidden: Tensor, texts: _Texts) -> Tensor:
    return torch.segment_reduce(hidden.float(), "max", lengths=texts.counts())


def _sum(hidden: Tensor, texts: _Texts) -> Tensor:
    return torch.segment_reduce(hidden.float(), "sum", lengths=texts.counts())


def _mean(hidden: Tensor, texts: _Texts) -> Tensor:
    return _sum(hidden, texts) / texts.counts()[:, None]


def _mean_sqrt(hidden: Tensor, texts: _Texts) -> Tensor:
    return _sum(hidden, texts) / texts.counts()[:, None].sqrt()


def _weighted_mean(hidden: Tensor, texts: _Texts) -> Tensor:
    """Weigh each token by its place, counted from 1 (SGPT, https://arxiv.org/abs/2202.08904)."""
    places = texts.places()
    weights = (places[places >= texts.skipped.repeat_interleave(texts.lengths)] + 1)[:, None].float()
    return _sum(hidden * weights, texts) / _sum(weights, texts)


_POOLS: dict[PoolingMode, Callable[[Tensor, _Texts], Tensor]] = {
    "cls": _first,
    "max": _max,
    "mean": _mean,
    "mean_sqrt": _mean_sqrt,
    "weightedmean": _weighted_mean,
    "last": _last,
}
