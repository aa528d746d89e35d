"""Recordings cut where nobody speaks, into windows that a model hears at a time."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from universal_audio.listen.recording import RATE, Samples

Span = tuple[int, int]
"""First sample, and the one after the last."""

FindSpeech = Callable[[Samples], list[Span]]
"""Returns where there is speech, in order, each span at most as long as a window."""

SECONDS = 30
LONGEST = SECONDS * RATE
_LONGEST_GAP = 2 * RATE
# Speech may begin just before a block ends, where it cannot be told yet.
_DOUBTFUL = RATE


class Window(NamedTuple):
    """A part of a recording: its first sample's place in it, and the samples."""

    first: int
    samples: Samples

    @property
    def start(self) -> float:
        """When it begins, in seconds."""
        return self.first / RATE

    @property
    def duration(self) -> float:
        """How long it is, in seconds."""
        return len(self.samples) / RATE


def cut(pieces: Iterable[Samples], find_speech: FindSpeech, *, block: int, speech_only: bool) -> Iterator[list[Window]]:
    """Yield the windows of a recording, those of about ``block`` seconds at a time; no more is ever in memory.

    With ``speech_only`` what is not speech is left out. Otherwise the windows are the whole recording.
    """
    divide = speech_spans if speech_only else whole_spans
    held, first = np.empty(0, np.float32), 0
    for held_now, ended in _blocks(pieces, block * RATE):
        held = np.concatenate([held, held_now])
        spans = divide(len(held), find_speech(held) if speech_only or len(held) > LONGEST else [])
        done = len(held) if ended else _undecided(spans, len(held))
        windows = [Window(first + start, held[start:end].copy()) for start, end in spans if end <= done and start < end]
        if windows:
            yield windows
        held, first = held[done:], first + done


def _blocks(pieces: Iterable[Samples], size: int) -> Iterator[tuple[Samples, bool]]:
    """Yield pieces put together to at least ``size`` samples, and whether it is the last time."""
    waiting: list[Samples] = []
    for piece in pieces:
        if sum(map(len, waiting)) >= size:
            yield np.concatenate(waiting), False
            waiting = []
        waiting.append(piece)
    yield np.concatenate(waiting or [np.empty(0, np.float32)]), True


def _undecided(spans: list[Span], length: int) -> int:
    """Return where that begins which must be looked at again with what follows: the last span, or the last second."""
    return spans[-1][0] if spans else max(length - _DOUBTFUL, 0)


def speech_spans(length: int, speech: list[Span]) -> list[Span]:
    """Return spans with all speech, put together where little is between and a window has room."""
    spans: list[Span] = []
    for start, end in speech:
        if spans and start - spans[-1][1] <= _LONGEST_GAP and end - spans[-1][0] <= LONGEST:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def whole_spans(length: int, speech: list[Span]) -> list[Span]:
    """Return spans that are the whole: as long as may be, and ending in the middle of a pause where there is one."""
    pauses = [(before[1] + after[0]) // 2 for before, after in pairwise(speech)]
    spans: list[Span] = []
    start = 0
    while length - start > LONGEST:
        end = max((pause for pause in pauses if start < pause <= start + LONGEST), default=start + LONGEST)
        spans.append((start, end))
        start = end
    return [*spans, (start, length)]


def quiet_spans(samples: Samples) -> list[Span]:
    """Return spans between the quietest tenths of a second, one in every third of a window: for want of a detector."""
    step = RATE // 10
    loudness = np.square(samples[: len(samples) // step * step]).reshape(-1, step).mean(axis=1)
    each = LONGEST // 3 // step
    cuts = [
        (place + int(loudness[place : place + each].argmin())) * step + step // 2
        for place in range(each, len(loudness) - each, each)
    ]
    return list(zip([0, *cuts], [*cuts, len(samples)], strict=True))
