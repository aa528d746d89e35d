"""How the next token is chosen from a row of logits.

The order is that of transformers, and of vLLM up to min_p:

1. log-probabilities, where asked for, from the raw logits, so that they tell what the model thinks
2. logit_bias is added
3. repetition_penalty on every token of prompt and answer, then presence_penalty and frequency_penalty on the answer's;
   then a grammar rules out what it does not allow
4. temperature; at 0 the best token is taken and nothing below applies
5. top_k, top_p, min_p, each on what the one before left
6. one draw from what remains

A draw takes one number from the answer's own generator and turns it into a token by the cumulative
distribution. So a seed gives the same text on every device, and whatever else runs beside it.
"""

import math
import random

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from universal_core.conversation import Choice, Constraint, Sampling

_HEAD = 1024
_BITS = numpy.unpackbits(numpy.arange(256, dtype=numpy.uint8)[:, None], axis=1, bitorder="little")
_ADDED = numpy.where(_BITS == 1, 0, -numpy.inf).astype(numpy.float32)
# Rows of a prompt whose log-probabilities are worked out together: at 150,000 tokens they take 40 MB.
_PART = 64


class Sampler:
    """Chooses the tokens of one answer; it remembers what penalties need to know."""

    def __init__(self, sampling: Sampling, prompt: list[int], constraint: Constraint | None = None) -> None:
        self._constraint = constraint
        self._sampling = sampling
        self._prompt = prompt
        self._random = random.Random(sampling.seed)
        self._seen: Tensor | None = None
        self._counts: Tensor | None = None
        self._bias: tuple[Tensor, Tensor] | None = None

    def choose(self, logits: Tensor) -> Choice:
        """Return the next token for raw ``logits`` of shape ``[vocabulary]``, which are left as they are."""
        logits = logits.float()
        token = self._draw(self._penalise(logits))
        self._remember(token)
        if self._constraint is not None:
            self._constraint.accept(token)
        return self._report(logits, token)

    def score(self, logits: Tensor, tokens: list[int]) -> list[Choice]:
        """Return each of ``tokens`` with its log-probability by its row of raw ``logits``, ``[tokens, vocabulary]``."""
        parts = [(logits[at : at + _PART], tokens[at : at + _PART]) for at in range(0, len(tokens), _PART)]
        return [choice for part, its in parts for choice in report(part.float(), its, self._sampling.logprobs or 0)]

    def _draw(self, logits: Tensor) -> int:
        if self._sampling.greedy:
            return int(logits.argmax())
        return draw(filter_logits(logits / self._sampling.temperature, self._sampling), self._random.random())

    def _report(self, logits: Tensor, token: int) -> Choice:
        if self._sampling.logprobs is None:
            return Choice(token)
        return report(logits[None], [token], self._sampling.logprobs)[0]

    def _penalise(self, logits: Tensor) -> Tensor:
        sampling = self._sampling
        if sampling.logit_bias:
            logits = self._biased(logits)
        if sampling.repetition_penalty != 1.0:
            logits = penalise_repetition(logits, self._seen_in(logits), sampling.repetition_penalty)
        if sampling.presence_penalty or sampling.frequency_penalty:
            counts = self._counts_in(logits)
            logits = logits - sampling.presence_penalty * (counts > 0) - sampling.frequency_penalty * counts
        if self._constraint is not None:
            logits = rule_out(logits, self._constraint.mask())
        return logits

    def _biased(self, logits: Tensor) -> Tensor:
        if self._bias is None:
            tokens, values = zip(*self._sampling.logit_bias.items(), strict=True)
            self._bias = (
                torch.tensor(tokens, device=logits.device),
                torch.tensor(values, device=logits.device).float(),
            )
        return logits.index_add(0, *self._bias)

    def _seen_in(self, logits: Tensor) -> Tensor:
        if self._seen is None:
            self._seen = torch.zeros_like(logits, dtype=torch.bool)
            # Some models have tokens for the places of pictures that they can read and never write.
            self._seen[[token for token in self._prompt if token < logits.numel()]] = True
        return self._seen

    def _counts_in(self, logits: Tensor) -> Tensor:
        if self._counts is None:
            self._counts = torch.zeros_like(logits)
        return self._counts

    def _remember(self, token: int) -> None:
        if self._seen is not None:
            self._seen[token] = True
        if self._counts is not None:
            self._counts[token] += 1


def report(logits: Tensor, tokens: list[int], count: int) -> list[Choice]:
    """Return each token with its log-probability by its row of ``[tokens, vocabulary]`` logits, and the best ones.

    What a model can read and never write has none: some have such tokens for the places of pictures.
    """
    size = logits.shape[-1]
    logprobs = logits.log_softmax(-1)
    best = logprobs.topk(min(count, size))
    own = logprobs.gather(-1, torch.tensor(tokens, device=logits.device).clamp(max=size - 1)[:, None])[:, 0]
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [
        Choice(token, value if token < size else -math.inf, tuple(zip(*pair, strict=True)))
        for token, value, pair in zip(tokens, own.tolist(), pairs, strict=True)
    ]


def rule_out(logits: Tensor, mask: bytes | None) -> Tensor:
    """Return the logits with -inf for all tokens whose bit is not set, or for which there is none."""
    if mask is None:
        return logits
    # Looking up what each byte of the mask adds to eight logits is far quicker than a bit at a time.
    found = _ADDED.take(numpy.frombuffer(mask, numpy.uint8), axis=0).ravel()[: logits.numel()]
    added = torch.from_numpy(found).to(logits.device)
    return logits + functional.pad(added, (0, logits.numel() - added.numel()), value=-torch.inf)


def penalise_repetition(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Divide positive and multiply negative logits of the tokens that were seen (https://arxiv.org/abs/1909.05858)."""
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def filter_logits(logits: Tensor, sampling: Sampling) -> Tensor:
    """Return the logits with -inf for all tokens that top_k, top_p and min_p rule out; the best is never ruled out."""
    if 0 < sampling.top_k < logits.numel():
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p < 1.0:
        logits = keep_top_p(logits, sampling.top_p)
    if sampling.min_p > 0.0:
        logits = keep_min_p(logits, sampling.min_p)
    return logits


def keep_top_k(logits: Tensor, count: int) -> Tensor:
    """Keep the ``count`` best tokens, and those that tie with the last of them."""
    return logits.masked_fill(logits < logits.topk(count).values[-1], -torch.inf)


def keep_top_p(logits: Tensor, share: float) -> Tensor:
    """Keep the fewest best tokens whose probabilities reach ``share`` together (https://arxiv.org/abs/1904.09751)."""
    probabilities = logits.softmax(-1)
    # Sorting a vocabulary of 150,000 costs as much as a small model's forward pass; the best thousand nearly
    # always hold the share already.
    for size in (min(_HEAD, logits.numel()), logits.numel()):
        values, tokens = probabilities.topk(size)
        before = values.cumsum(-1) - values
        if before[-1] >= share:
            break
    dropped = torch.ones_like(logits, dtype=torch.bool)
    dropped[tokens[before < share]] = False
    dropped[tokens[0]] = False
    return logits.masked_fill(dropped, -torch.inf)


def keep_min_p(logits: Tensor, share: float) -> Tensor:
    """Keep the tokens that are at least ``share`` times as likely as the best (https://arxiv.org/abs/2407.01082)."""
    probabilities = logits.softmax(-1)
    unlikely = probabilities < share * probabilities.max()
    unlikely[logits.argmax()] = False
    return logits.masked_fill(unlikely, -torch.inf)


def draw(logits: Tensor, number: float) -> int:
    """Return the token at which the cumulative distribution passes ``number``, which lies in [0, 1)."""
    cumulative = logits.softmax(-1, dtype=torch.float64).cumsum(-1)
    # Only a token with a probability makes the sum grow, so only such a token can be the first to pass.
    place = torch.searchsorted(cumulative, cumulative[-1:] * number, right=True)
    return int(place.clamp(max=logits.numel() - 1))
