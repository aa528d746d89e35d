"""The tokens of many rows, each chosen by settings of its own: rows that need the same are one tensor."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy
import torch
from torch import Tensor

from universal_core.conversation import Choice, Sampling
from universal_text.causal.sampling.adjusting import Adjustment, adjust
from universal_text.causal.sampling.drawing import best, draw, draw_by_all, draw_by_head, weight_of_all
from universal_text.causal.sampling.filtering import Draws
from universal_text.causal.sampling.likelihood import described, likelihoods
from universal_text.causal.sampling.sending import FEW, exact, rows_of, runs_of, sent

_HEAD = 256
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Want:
    """What a row is chosen by: settings and what came before, what a grammar allows, and the number to draw by."""

    adjustment: Adjustment
    mask: bytes | None
    number: float

    @property
    def sampling(self) -> Sampling:
        """The settings."""
        return self.adjustment.sampling

    @property
    def adjusts(self) -> bool:
        """Whether logits are changed before anything else."""
        return self.mask is not None or self.adjustment.needed


def choose(logits: Tensor, wants: Sequence[Want], count: int = _HEAD) -> list[Choice]:
    """Return what is chosen from each row of raw ``[rows, vocabulary]`` logits, which are left as they are.

    Filters look at the ``count`` best tokens of a row first, and at all of them where these do not settle it.
    """
    tokens, sure = _tokens(logits, wants, count)
    reports = [
        (rows, likelihoods(rows_of(logits, rows), rows_of(tokens, rows), alternatives))
        for alternatives, rows in _alike(want.sampling.logprobs for want in wants)
        if alternatives is not None
    ]
    parts = (tokens, sure, *(report for _, report in reports))
    # All that is known on the device comes back at once.
    numbers = iter(torch.cat([part.to(exact(logits.device)).flatten() for part in parts]).tolist())
    choices = [Choice(int(token)) for token in islice(numbers, len(wants))]
    unsure = [row for row, certain in enumerate(islice(numbers, len(wants))) if not certain]
    for rows, report in reports:
        for row in rows:
            choices[row] = described(choices[row].token, [*islice(numbers, report.shape[1])])
    if unsure:
        again = choose(rows_of(logits, unsure), [wants[row] for row in unsure], logits.shape[-1])
        for row, choice in zip(unsure, again, strict=True):
            choices[row] = choice
    return choices


def _tokens(logits: Tensor, wants: Sequence[Want], count: int) -> tuple[Tensor, Tensor]:
    """Return each row's token, and whether it is sure."""
    order: list[int] = []
    parts: list[tuple[Tensor, Tensor]] = []
    for (adjusts, way), alike in _alike((want.adjusts, _way(want, logits.shape[-1])) for want in wants):
        for rows in runs_of(alike, logits.device, FEW if adjusts else len(alike)):
            its = [wants[row] for row in rows]
            source = _adjusted(rows_of(logits, rows), its) if adjusts else rows_of(logits, rows)
            parts.append(way(source, its, count))
            order += rows
    tokens, sure = (torch.cat(found) for found in zip(*parts, strict=True))
    back = [order.index(row) for row in range(len(wants))]
    return rows_of(tokens, back), rows_of(sure, back)


def _adjusted(logits: Tensor, wants: Sequence[Want]) -> Tensor:
    changed = logits.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    adjust(changed, [want.adjustment for want in wants], [want.mask for want in wants])
    return changed


_Way = Callable[[Tensor, Sequence[Want], int], tuple[Tensor, Tensor]]


def _way(want: Want, size: int) -> _Way:
    sampling = want.sampling
    if sampling.greedy:
        return _take_best
    if _top_k(want, size) or sampling.top_p < 1.0 or sampling.min_p > 0.0:
        return _filter
    return _draw


def _take_best(logits: Tensor, wants: Sequence[Want], count: int) -> tuple[Tensor, Tensor]:
    return best(logits), _surely(logits)


def _draw(logits: Tensor, wants: Sequence[Want], count: int) -> tuple[Tensor, Tensor]:
    return draw(logits, _draws(logits, wants)), _surely(logits)


def _filter(logits: Tensor, wants: Sequence[Want], count: int) -> tuple[Tensor, Tensor]:
    draws, size = _draws(logits, wants), logits.shape[-1]
    if count >= size:
        return draw_by_all(logits, draws), _surely(logits)
    totals = torch.ones_like(draws.number)
    shared = [row for row, want in enumerate(wants) if want.sampling.top_p < 1.0 and not _top_k(want, size)]
    for rows in runs_of(shared, logits.device, len(shared)):
        totals[rows] = weight_of_all(rows_of(logits, rows), rows_of(draws.temperature, rows)).to(totals.dtype)
    return draw_by_head(logits, draws, totals, count)


def _surely(logits: Tensor) -> Tensor:
    return torch.ones(len(logits), dtype=torch.bool, device=logits.device)


def _draws(logits: Tensor, wants: Sequence[Want]) -> Draws:
    numbers = numpy.array([_parameters(want, logits.shape[-1]) for want in wants])
    columns = sent(numbers.astype(numpy.float32) if exact(logits.device) == torch.float32 else numbers, logits.device)
    temperature, top_k, top_p, min_p, number = torch.split(columns, 1, -1)
    return Draws(temperature.float(), top_k.long(), top_p, min_p, number)


def _parameters(want: Want, size: int) -> tuple[float, ...]:
    sampling = want.sampling
    top_p = sampling.top_p if sampling.top_p < 1.0 else float("inf")
    return sampling.temperature, _top_k(want, size), top_p, sampling.min_p, want.number


def _top_k(want: Want, size: int) -> int:
    """Return how many tokens top_k keeps, 0 where that is all."""
    return want.sampling.top_k if want.sampling.top_k < size else 0


def _alike(keys: Iterable[_Key]) -> list[tuple[_Key, list[int]]]:
    """Return the different keys with the places where each stands."""
    places: dict[_Key, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    return list(places.items())
