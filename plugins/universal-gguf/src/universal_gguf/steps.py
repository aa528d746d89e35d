"""How much a model that writes does at a time: what its contexts are made for, and what they take is told from."""

from universal_gguf.options import GenerationOptions

# The logits after that many tokens of 150,000 take 77 MB, which llama.cpp sets aside.
MOST_SCORED = 128
"""Tokens of a prompt that are scored in a step at most."""

_MOST_SEQUENCES = 256
_STEP_ON_CPU = 256


def step_of(options: GenerationOptions, *, processor: bool) -> int:
    """Return the most tokens of a step: on a processor no more than pay, so that what comes next need not wait long.

    There 256 tokens at once are read as fast, token by token, as 512; a graphics card wants as many as it gets.
    """
    paying = min(options.n_batch, _STEP_ON_CPU) if processor else options.n_batch
    return max(checked_of(options), paying)


def checked_of(options: GenerationOptions) -> int:
    """Return how many tokens a step has at most that are each followed by a choice: the last ones, and guesses."""
    guessed = max(options.lookup_tokens, options.draft_tokens if options.draft_model else 0)
    return options.slots * (1 + guessed)


def outputs_of(options: GenerationOptions) -> int:
    """Return after how many tokens of a step there may be logits."""
    return max(checked_of(options) + MOST_SCORED, sequences_of(options))


def sequences_of(options: GenerationOptions) -> int:
    """Return how many sequences a context has: those that run, and as many kept prefixes."""
    return min(2 * options.slots, _MOST_SEQUENCES)
