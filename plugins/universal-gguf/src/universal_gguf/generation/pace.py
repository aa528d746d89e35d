"""How much of a long prompt may join a step without holding up the answers that are being written."""

SLOWDOWN = 2.2
"""How many times as long as usual a step may take while a long prompt is read beside running answers."""

_FIRST = 8
_WEIGHT = 0.3


class Pace:
    """Learns from the steps how long they take, and from that how many prompt tokens a step has time for.

    On a processor a step of one token takes as long as reading three or four tokens of a prompt, on a graphics card
    as long as several hundred: no fixed size of chunks is right for both.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._plain: dict[int, float] = {}
        self._token = 0.0

    def observe(self, answers: int, prompt: int, seconds: float) -> None:
        """Learn from a step that read the next token of some ``answers`` and ``prompt`` tokens of prompts."""
        if not prompt:
            self._plain[answers] = _mixed(self._plain.get(answers), seconds)
        elif answers and self._plain:
            self._token = _mixed(self._token, max(seconds - self._alone(answers), seconds / 10) / prompt)

    def allowance(self, answers: int) -> int:
        """Return how many tokens of long prompts may join the next token of some ``answers``; without any, all."""
        if not answers:
            return self._most
        if not self._plain or not self._token:
            return min(_FIRST, self._most)
        time = (SLOWDOWN - 1) * self._alone(answers)
        return max(1, min(self._most, int(time / self._token)))

    def _alone(self, answers: int) -> float:
        """Return how long a step of so many answers takes, or of the nearest number that was seen."""
        return self._plain[min(self._plain, key=lambda seen: (abs(seen - answers), seen))]


def _mixed(old: float | None, new: float) -> float:
    return old + _WEIGHT * (new - old) if old else new
