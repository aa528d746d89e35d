"""What bias, penalties and grammars make of logits, for many answers at once.

Penalties touch the tokens that were seen and no others, so that they cost little at any size of the vocabulary.
"""

from collections.abc import Sequence

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from universal_core.continuous_batching import ADDED_BY_MASK, Counts
from universal_core.conversation import Sampling
from universal_text.causal.sampling.sending import sent

_Tokens = Sequence[NDArray[numpy.int64]]


class Adjustment:
    """What one answer's settings change in its logits; it remembers what penalties need to know."""

    def __init__(self, sampling: Sampling, prompt: list[int]) -> None:
        self.sampling = sampling
        self.seen = Counts(prompt if sampling.repetition_penalty != 1.0 else [])
        self.written = Counts([])
        self.bias = numpy.array([*sampling.logit_bias.values()], numpy.float32)
        self.biased = numpy.array([*sampling.logit_bias], numpy.int64)
        self.repeats = sampling.repetition_penalty != 1.0
        self.counts = bool(sampling.presence_penalty or sampling.frequency_penalty)

    @property
    def needed(self) -> bool:
        """Whether anything is changed without a grammar."""
        return bool(self.bias.size) or self.repeats or self.counts

    def remember(self, token: int) -> None:
        """Count a token that was written."""
        if self.repeats:
            self.seen.add(token)
        if self.counts:
            self.written.add(token)


def adjust(logits: Tensor, adjustments: Sequence[Adjustment], masks: Sequence[bytes | None]) -> None:
    """Change each row of ``[rows, vocabulary]`` logits in place: bias, penalties, then its mask, where it has them.

    The logits are fp32 and contiguous.
    """
    _add_bias(logits, adjustments)
    _penalise_repetition(logits, adjustments)
    _penalise_presence(logits, adjustments)
    rule_out(logits, masks)


def _add_bias(logits: Tensor, adjustments: Sequence[Adjustment]) -> None:
    places = _places(logits, [one.biased for one in adjustments])
    if places.numel():
        bias = sent(numpy.concatenate([one.bias for one in adjustments]), logits.device)
        flat = logits.view(-1)
        flat[places] = flat[places] + bias


def _penalise_repetition(logits: Tensor, adjustments: Sequence[Adjustment]) -> None:
    """Divide positive and multiply negative logits of tokens that were seen (https://arxiv.org/abs/1909.05858)."""
    tokens = [_known(one.seen.tokens, logits) for one in adjustments]
    places = _places(logits, tokens)
    if places.numel():
        penalty = _spread([one.sampling.repetition_penalty for one in adjustments], tokens, logits.device)
        flat = logits.view(-1)
        found = flat[places]
        flat[places] = torch.where(found < 0, found * penalty, found / penalty)


def _penalise_presence(logits: Tensor, adjustments: Sequence[Adjustment]) -> None:
    tokens = [one.written.tokens for one in adjustments]
    places = _places(logits, tokens)
    if places.numel():
        presence = _spread([one.sampling.presence_penalty for one in adjustments], tokens, logits.device)
        frequency = _spread([one.sampling.frequency_penalty for one in adjustments], tokens, logits.device)
        counts = sent(numpy.concatenate([one.written.counts for one in adjustments]), logits.device)
        flat = logits.view(-1)
        flat[places] = flat[places] - presence - frequency * counts


def rule_out(logits: Tensor, masks: Sequence[bytes | None]) -> None:
    """Set the logits of all tokens whose bit in the row's mask is not set, or for which there is none, to -inf.

    A row without a mask stays as it is. The logits, ``[rows, vocabulary]``, are changed in place.
    """
    if any(mask is not None for mask in masks):
        table = sent(ADDED_BY_MASK, logits.device)
        for row, mask in zip(logits, masks, strict=True):
            if mask is not None:
                # Looking up what each byte of the mask adds to eight logits is far quicker than a bit at a time.
                row += functional.embedding(_bits(mask, row), table).flatten()[: len(row)]


def _bits(mask: bytes, row: Tensor) -> Tensor:
    """Return a mask as long as the row is, eight tokens a number."""
    bits = numpy.zeros(-(-len(row) // 8), numpy.uint8)
    found = numpy.frombuffer(mask, numpy.uint8)[: bits.size]
    bits[: found.size] = found
    return sent(bits, row.device).int()


def _known(tokens: NDArray[numpy.int64], logits: Tensor) -> NDArray[numpy.int64]:
    """Leave out tokens that a model can read and never write: some have them for the places of pictures."""
    return tokens[tokens < logits.shape[-1]]


def _places(logits: Tensor, tokens: _Tokens) -> Tensor:
    """Return where the rows' tokens stand in the flattened logits."""
    places = numpy.concatenate([row * logits.shape[-1] + its for row, its in enumerate(tokens)])
    return sent(places, logits.device)


def _spread(values: list[float], tokens: _Tokens, device: torch.device) -> Tensor:
    """Return each row's value for each of its tokens."""
    return sent(numpy.repeat(numpy.array(values, numpy.float32), [len(its) for its in tokens]), device)
