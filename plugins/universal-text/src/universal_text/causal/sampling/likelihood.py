"""How likely a model thinks tokens are: their log-probabilities by raw logits, and those of the best alternatives."""

import math

import torch
from torch import Tensor

from universal_core.conversation import Choice
from universal_text.causal.sampling.filtering import head
from universal_text.causal.sampling.sending import exact, parts_of

# At least so many alternatives are looked for, so that a tie with the last one asked for is settled in the same way
# whatever another row asks for.
_LEAST = 32


def likelihoods(logits: Tensor, tokens: Tensor, count: int) -> Tensor:
    """Return how likely each of ``tokens`` is by its row of raw ``[rows, vocabulary]`` logits, ``[rows, 1 + 2 count]``.

    A row has the token's log-probability, the ``count`` best tokens, and their log-probabilities. What a model can read
    and never write has none: some have such tokens for the places of pictures.
    """
    size = logits.shape[-1]
    own = tokens[:, None].clamp(max=size - 1)
    others = _best(logits, count) if count else own[:, :0]
    found = torch.cat([_logprobs(logits, few, torch.cat([own, others], -1)) for few in parts_of(logits)])
    found[:, 0].masked_fill_(tokens >= size, -math.inf)
    return torch.cat([part.to(exact(logits.device)) for part in (found[:, :1], others, found[:, 1:])], -1)


def _best(logits: Tensor, count: int) -> Tensor:
    """Return the best tokens of each row, best first, and by number where they tie."""
    values, tokens = head(logits, max(_LEAST, count))
    tokens, order = tokens.sort(-1)
    order = values.gather(-1, order).sort(dim=-1, descending=True, stable=True).indices
    return tokens.gather(-1, order)[:, :count]


def _logprobs(logits: Tensor, rows: slice, tokens: Tensor) -> Tensor:
    return logits[rows].log_softmax(-1, dtype=torch.float32).gather(-1, tokens[rows])


def described(token: int, numbers: list[float]) -> Choice:
    """Return a token with its row of ``likelihoods``."""
    own, *rest = numbers
    middle = len(rest) // 2
    return Choice(token, own, tuple(zip(map(int, rest[:middle]), rest[middle:], strict=True)))
