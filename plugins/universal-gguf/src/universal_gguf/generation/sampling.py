"""How the next token is chosen from a row of logits.

The steps and their order are those of universal-text, which are transformers' and vLLM's:

1. log-probabilities, where asked for, from the raw logits, so that they tell what the model thinks
2. logit_bias is added, then repetition_penalty on every token of prompt and answer, then presence_penalty and
   frequency_penalty on the answer's; then a grammar rules out what it does not allow
3. temperature; at 0 the best token is taken and nothing below applies
4. top_k, top_p, min_p, each on what the one before left
5. one draw from what remains, by the cumulative distribution

Every step is a few passes of numpy over the vocabulary, or touches a few tokens only. llama.cpp's own chain of samplers
sorts the vocabulary where top_p comes without top_k: 12 ms a token at 150,000 tokens, against 0.3 ms here
(bench/llama/sampling.py measures a whole token). The choice is the same to the last draw.
"""

import random

import numpy
from numpy.typing import NDArray

from universal_core.continuous_batching import ADDED_BY_MASK, Counts
from universal_core.conversation import Choice, Constraint, Sampling

Numbers = NDArray[numpy.float32]
Tokens = NDArray[numpy.intp]

_BLOCKS = 64
_ROW = 512
_LIKELY = (1e-2, 1e-4, 1e-6, 0.0)


class Sampler:
    """Chooses the tokens of one answer; it remembers what penalties need to know."""

    def __init__(self, sampling: Sampling, prompt: list[int], constraint: Constraint | None = None) -> None:
        self._sampling = sampling
        self._random = random.Random(sampling.seed)
        self._constraint = constraint
        self._seen = Counts(prompt) if sampling.repetition_penalty != 1.0 else None
        penalised = sampling.presence_penalty or sampling.frequency_penalty
        self._written = Counts([]) if penalised else None
        self._bias = (
            numpy.array([*sampling.logit_bias], numpy.intp),
            numpy.array([*sampling.logit_bias.values()], numpy.float32),
        )
        self._plain = not (sampling.logit_bias or self._seen or self._written or constraint)

    def choose(self, logits: Numbers) -> Choice:
        """Return the next token for raw ``logits`` of shape ``[vocabulary]``, which are left as they are."""
        adjusted = logits if self._plain else self._adjust(logits.copy())
        if self._sampling.greedy:
            token = int(adjusted.argmax())
        else:
            token = draw(adjusted, self._sampling, self._random.random())
        for counts in (self._seen, self._written):
            if counts is not None:
                counts.add(token)
        if self._constraint is not None:
            self._constraint.accept(token)
        return Choice(token) if self._sampling.logprobs is None else report(logits, token, self._sampling.logprobs)

    def score(self, logits: Numbers, tokens: list[int]) -> list[Choice]:
        """Return each of ``tokens`` with its log-probability by its row of raw ``logits``, ``[tokens, vocabulary]``."""
        count = self._sampling.logprobs or 0
        return [report(row, token, count) for row, token in zip(logits, tokens, strict=True)]

    def _adjust(self, logits: Numbers) -> Numbers:
        tokens, values = self._bias
        logits[tokens] += values
        if self._seen is not None:
            found = logits[self._seen.tokens]
            penalty = numpy.float32(self._sampling.repetition_penalty)
            logits[self._seen.tokens] = numpy.where(found < 0, found * penalty, found / penalty)
        if self._written is not None:
            frequent = self._written.counts * numpy.float32(self._sampling.frequency_penalty)
            logits[self._written.tokens] -= frequent + numpy.float32(self._sampling.presence_penalty)
        if self._constraint is not None:
            rule_out(logits, self._constraint.mask())
        return logits


def rule_out(logits: Numbers, mask: bytes | None) -> None:
    """Set the logits of all tokens whose bit is not set, or for which there is none, to -inf, in place."""
    if mask is not None:
        # Looking up what each byte of the mask adds to eight logits takes 0.03 ms at 150,000 tokens, whatever the mask
        # is; picking out the tokens that it rules out takes up to 0.8 ms.
        added = ADDED_BY_MASK.take(numpy.frombuffer(mask, numpy.uint8), axis=0).ravel()[: logits.size]
        logits[: added.size] += added
        logits[added.size :] = -numpy.inf


def draw(logits: Numbers, sampling: Sampling, number: float) -> int:
    """Return the token at which the cumulative distribution of what the filters leave passes ``number`` in [0, 1)."""
    tokens = best(logits, sampling.top_k) if 0 < sampling.top_k < len(logits) else None
    found = logits if tokens is None else logits[tokens]
    scaled = (found - found.max()) * numpy.float32(1 / sampling.temperature)
    weights = numpy.exp(scaled, out=scaled)
    # Weights are relative to the best token's, which is 1.
    least = max(nucleus(weights, sampling.top_p), sampling.min_p)
    if least > 0:
        left = numpy.flatnonzero(weights >= min(least, 1.0))
        weights, tokens = weights[left], left if tokens is None else tokens[left]
    place = passed(weights, number)
    return place if tokens is None else int(tokens[place])


def nucleus(weights: Numbers, share: float) -> float:
    """Return the least weight among the fewest best tokens that reach ``share`` together (arXiv:1904.09751); 0 is all.

    Nearly always a few tokens do: sorting them, instead of a vocabulary of 150,000, takes no time.
    """
    if share >= 1.0:
        return 0.0
    wanted = share * float(weights.sum())
    for least in _LIKELY:
        likely = weights[numpy.flatnonzero(weights > least)]
        if likely.sum(dtype=numpy.float64) >= wanted:
            break
    likely = numpy.sort(likely)[::-1]
    sums = likely.cumsum(dtype=numpy.float64)
    return float(likely[min(int(sums.searchsorted(wanted)), len(likely) - 1)])


def passed(weights: Numbers, number: float) -> int:
    """Return the first place at which the sum of the weights so far is more than ``number`` times the sum of all.

    Only a weight makes the sum grow, so the place has one. Sums of blocks lead there: adding up one number after the
    other takes seven times as long as adding up eight at a time.
    """
    whole = len(weights) // _ROW * _ROW
    rows = weights[:whole].reshape(-1, _ROW).sum(axis=1, dtype=numpy.float32).cumsum(dtype=numpy.float64)
    before = float(rows[-1]) if whole else 0.0
    rest = weights[whole:].cumsum(dtype=numpy.float64)
    aim = number * (before + (float(rest[-1]) if len(rest) else 0.0))
    row = int(rows.searchsorted(aim, side="right"))
    start = row * _ROW
    inside = rest if row == len(rows) else weights[start : start + _ROW].cumsum(dtype=numpy.float64)
    place = int(inside.searchsorted(aim - (float(rows[row - 1]) if row else 0.0), side="right"))
    # By the rounding of the sums it may be just outside, behind the last weight.
    return start + min(place, int(numpy.flatnonzero(weights[start : start + len(inside)])[-1]))


def best(logits: Numbers, count: int) -> Tokens:
    """Return the ``count`` best tokens, and those that tie with the last of them, in the order of the vocabulary.

    The best lie in the blocks with the best maxima. A block is every 2,000th token or so, which makes its maximum one
    pass of vector instructions.
    """
    width = len(logits) // _BLOCKS
    if count >= width:
        return numpy.flatnonzero(logits >= _nth(logits, count))
    blocks = logits[: width * _BLOCKS].reshape(_BLOCKS, width)
    maxima = blocks.max(axis=0)
    columns = numpy.flatnonzero(maxima >= _nth(maxima, count))
    rest = numpy.arange(width * _BLOCKS, len(logits))
    tokens = numpy.concatenate([(columns + width * numpy.arange(_BLOCKS)[:, None]).ravel(), rest])
    found = logits[tokens]
    chosen: Tokens = tokens[found >= _nth(found, count)]
    return chosen


def report(logits: Numbers, token: int, count: int) -> Choice:
    """Return the choice with its natural log-probability, and the ``count`` best tokens with theirs, best first."""
    highest = logits.max()
    total = float(highest) + float(numpy.log(numpy.exp(logits - highest).sum(dtype=numpy.float64)))
    found = best(logits, min(count, len(logits))) if count else numpy.empty(0, numpy.intp)
    found = found[numpy.argsort(-logits[found], kind="stable")][:count]
    pairs = tuple((int(one), float(logits[one]) - total) for one in found)
    return Choice(token, float(logits[token]) - total, pairs)


def _nth(values: Numbers, count: int) -> float:
    """Return the ``count``-th largest value."""
    return float(numpy.partition(values, len(values) - count)[len(values) - count])
