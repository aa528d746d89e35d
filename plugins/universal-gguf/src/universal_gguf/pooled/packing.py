"""Which texts go through the model together."""

from collections import deque
from collections.abc import Iterator, Sequence


def pack(lengths: Sequence[int], *, tokens: int, texts: int) -> Iterator[list[int]]:
    """Yield the positions of all texts in groups of at most ``tokens`` tokens and ``texts`` texts.

    ``lengths`` are tokens per text. A text with more tokens is a group of its own. A group begins with the longest
    texts that are left and is filled up with the shortest, so that there are few groups: nothing is padded here, and
    so texts that go together need not be alike.
    """
    waiting = deque(sorted(range(len(lengths)), key=lambda place: -lengths[place]))
    while waiting:
        group = [waiting.popleft()]
        room = tokens - lengths[group[0]]
        while waiting and len(group) < texts and lengths[waiting[-1]] <= room:
            place = waiting.popleft() if lengths[waiting[0]] <= room else waiting.pop()
            group.append(place)
            room -= lengths[place]
        yield group
