"""From logits to the next token of every answer of a step."""

from universal_text.causal.sampling.sampler import Chosen, Sampler, choose_together

__all__ = ["Chosen", "Sampler", "choose_together"]
