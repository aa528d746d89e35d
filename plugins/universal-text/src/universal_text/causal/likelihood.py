"""How likely a model thinks tokens are: their log-probabilities by raw logits, and those of the best alternatives."""

import math

import torch
from torch import Tensor

from universal_core.conversation import Choice
from universal_text.causal.drawing import head

# At least so many alternatives are looked for, so that a tie with the last one asked for is settled in the same way
# whatever another row asks for.
_LEAST = 32


def likelihoods(logits: Tensor, tokens: Tensor, count: int) -> Tensor:
    """Return how likely each of ``tokens`` is by its row of raw ``[rows, vocabulary]`` logits, ``[rows, 1 + 2 count]``.

    A row has the token's log-probability, the ``count`` best tokens, and their log-probabilities; fp64, which holds all
    of them as they are. What a model can read and never write has none: some have such tokens for pictures.
    """
    size = logits.shape[-1]
    logprobs = logits.log_softmax(-1, dtype=torch.float32)
    own = logprobs.gather(-1, tokens.clamp(max=size - 1)[:, None]).masked_fill(tokens[:, None] >= size, -math.inf)
    others = head(logits, max(_LEAST, count))[1][:, :count] if count else tokens[:, None][:, :0]
    return torch.cat([part.double() for part in (own, others, logprobs.gather(-1, others))], -1)


def described(token: int, numbers: list[float]) -> Choice:
    """Return a token with its row of ``likelihoods``."""
    own, *rest = numbers
    middle = len(rest) // 2
    return Choice(token, own, tuple(zip(map(int, rest[:middle]), rest[middle:], strict=True)))
