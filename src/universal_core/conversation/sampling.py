"""What an answer's next token is chosen by, and what is chosen."""

from dataclasses import dataclass, field

COLD = 1e-5
"""Below this temperature the best token is taken: dividing by it overflows long before it could change the choice."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """The settings of one answer, complete; ``top_k`` 0, ``top_p`` 1 and ``min_p`` 0 are off."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: dict[int, float] = field(default_factory=dict)
    seed: str | None = None
    logprobs: int | None = None

    @property
    def greedy(self) -> bool:
        """Whether the best token is taken rather than drawn."""
        return self.temperature < COLD


@dataclass(frozen=True, slots=True)
class Choice:
    """A token, and where asked for its log-probability and the best alternatives with theirs, best first."""

    token: int
    logprob: float | None = None
    alternatives: tuple[tuple[int, float], ...] = ()
