"""How the next tokens of many answers are chosen, each from a row of logits.

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

All rows of a step are chosen together: those that need the same go through it as one tensor, those that do not need it
stay out of it, and what was chosen comes from the device at once.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from universal_core import BadRequest
from universal_core.conversation import Choice, Constraint, Sampling
from universal_text.causal.sampling.adjusting import Adjustment
from universal_text.causal.sampling.choosing import Want, choose
from universal_text.causal.sampling.likelihood import described, likelihoods
from universal_text.causal.sampling.sending import rows_of

# Rows of a prompt whose log-probabilities are worked out together: at 150,000 tokens they take 40 MB.
_PART = 64


@dataclass(frozen=True, slots=True)
class Chosen:
    """What ``sampler`` would choose from its row of raw ``logits``, ``[vocabulary]``; it has not been told yet."""

    sampler: "Sampler"
    choice: Choice
    logits: Tensor


class Sampler:
    """Chooses the tokens of one answer; it remembers what penalties need to know."""

    def __init__(self, sampling: Sampling, prompt: list[int], constraint: Constraint | None = None) -> None:
        self._sampling = sampling
        self._adjustment = Adjustment(sampling, prompt)
        self._constraint = constraint
        self._random = random.Random(sampling.seed)

    def choose(self, logits: "Tensor | Chosen") -> Choice:
        """Return the next token for raw ``logits`` of shape ``[vocabulary]``, which are left as they are.

        What was chosen for this answer together with others is taken; where it was chosen for another one, this
        answer chooses for itself from the same logits.
        """
        choice = logits.choice if isinstance(logits, Chosen) and logits.sampler is self else self._alone(logits)
        self._adjustment.remember(choice.token)
        if self._constraint is not None:
            self._constraint.accept(choice.token)
        return choice

    def score(self, logits: Tensor, tokens: list[int]) -> list[Choice]:
        """Return each of ``tokens`` with its log-probability by its row of raw ``logits``, ``[tokens, vocabulary]``."""
        parts = [(logits[at : at + _PART], tokens[at : at + _PART]) for at in range(0, len(tokens), _PART)]
        return [choice for part, its in parts for choice in _scored(part, its, self._sampling.logprobs or 0)]

    def want(self) -> Want:
        """Return what the next token is to be chosen by; that takes a number. Raises BadRequest as the grammar does."""
        mask = None if self._constraint is None else self._constraint.mask()
        return Want(self._adjustment, mask, 0.0 if self._sampling.greedy else self._random.random())

    def _alone(self, logits: "Tensor | Chosen") -> Choice:
        row = logits.logits if isinstance(logits, Chosen) else logits
        (chosen,) = choose_together([self], row[None])
        if isinstance(chosen, BadRequest):
            raise chosen
        return chosen.choice


@torch.inference_mode()
def choose_together(samplers: Sequence[Sampler], logits: Tensor) -> list[Chosen | BadRequest]:
    """Return for each sampler what it chooses from its row of raw ``logits``, ``[rows, vocabulary]``.

    The logits are left as they are, and no sampler takes in its token: that is for ``Sampler.choose``. A row gives
    what it gives alone. Where a row's grammar cannot go on, its BadRequest stands in the place of what was chosen.
    """
    wants = [_want(sampler) for sampler in samplers]
    rows = [row for row, want in enumerate(wants) if isinstance(want, Want)]
    choices = iter(choose(rows_of(logits, rows), [want for want in wants if isinstance(want, Want)]) if rows else ())
    return [
        Chosen(sampler, next(choices), row) if isinstance(want, Want) else want
        for sampler, want, row in zip(samplers, wants, logits, strict=True)
    ]


def _want(sampler: Sampler) -> Want | BadRequest:
    try:
        return sampler.want()
    except BadRequest as error:
        return error


def _scored(logits: Tensor, tokens: list[int], count: int) -> list[Choice]:
    numbers = likelihoods(logits, torch.tensor(tokens, device=logits.device), count).tolist()
    return [described(token, its) for token, its in zip(tokens, numbers, strict=True)]
