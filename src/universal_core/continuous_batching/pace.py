"""How much of a long prompt joins a step, and when, so that the answers that are being written go on."""

SLOWDOWN = 1.6
"""How many times as long as a step of the answers alone their steps may take on average beside a long prompt.

A stream feels more of it: beside a prompt of 2,000 tokens the steps without its pieces take half as long again too.
"""

LEAST = 32
"""Tokens of a prompt that join a step when any do.

Fewer would be a waste: beside a running answer on a processor, a prompt of 2,000 tokens took 133 s where one token
joined each step, and 38 s in pieces of 32.
"""

_LONGEST = 4.0
_WEIGHT = 0.3


class Pace:
    """Gives long prompts their share of the time: what they take is paid back by steps without them.

    It learns how long steps take. So on a processor a piece of a prompt joins every fifth step or so, and on a
    graphics card, where reading hundreds of tokens takes no longer than writing one, nearly every step.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._plain: dict[int, float] = {}
        self._token = 0.0
        self._credit = 0.0

    def observe(self, answers: int, prompt: int, seconds: float) -> None:
        """Learn from a step that read the next token of some ``answers`` and ``prompt`` tokens of prompts."""
        if not prompt:
            self._plain[answers] = _mixed(self._plain.get(answers), seconds)
        if not answers or not self._plain:
            return
        alone = self._alone(answers)
        extra = max(seconds - alone, 0.0) if prompt else 0.0
        if prompt:
            self._token = _mixed(self._token, max(extra, seconds / 10) / prompt)
        # No more is saved than a step is worth: a prompt that comes later must not stop the answers for long.
        self._credit = min(self._credit + (SLOWDOWN - 1) * alone - extra, alone)

    def allowance(self, answers: int) -> int:
        """Return how many tokens of long prompts may join the next token of some ``answers``; without any, all.

        None may join while what the prompts took before is not paid back, nor before it is known how long a step takes.
        """
        if not answers:
            return self._most
        if not self._plain or self._credit < 0:
            return 0
        if not self._token:
            return min(LEAST, self._most)
        return min(self._most, max(LEAST, int(_LONGEST * self._alone(answers) / self._token)))

    def _alone(self, answers: int) -> float:
        """Return how long a step of so many answers takes, or of the nearest number that was seen."""
        return self._plain[min(self._plain, key=lambda seen: (abs(seen - answers), seen))]


def _mixed(old: float | None, new: float) -> float:
    return old + _WEIGHT * (new - old) if old else new
