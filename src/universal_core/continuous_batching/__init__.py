"""Continuous batching: who runs in the next step of an engine, and what has been read already; for plugins' engines."""

from universal_core.continuous_batching.cache import Cache, Held, Memory, Span, common
from universal_core.continuous_batching.choosing import ADDED_BY_MASK, Counts
from universal_core.continuous_batching.guesses import GuessedSequence, Guesser, Guesses, Lookup
from universal_core.continuous_batching.pace import Pace
from universal_core.continuous_batching.scheduler import Turns

__all__ = [
    "ADDED_BY_MASK",
    "Cache",
    "Counts",
    "GuessedSequence",
    "Guesser",
    "Guesses",
    "Held",
    "Lookup",
    "Memory",
    "Pace",
    "Span",
    "Turns",
    "common",
]
