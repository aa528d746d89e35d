"""Cutting: windows are whole where all is to be heard, hold all speech where only that is, and never too long."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from tiny.sounds import RATE, silence, voice
from universal_audio.listen.recording import Samples
from universal_audio.listen.speech import find_speech, find_utterances
from universal_audio.listen.windows import LONGEST, Window, cut, quiet_spans, speech_spans, whole_spans

SPEECH = np.concatenate([silence(2), voice(9), silence(4), voice(20), silence(3), voice(15), silence(50), voice(6)])


def pieces(samples: Samples, seconds: float = 7.3) -> Iterator[Samples]:
    size = int(seconds * RATE)
    yield from (samples[start : start + size] for start in range(0, len(samples), size))


def windows_of(samples: Samples, *, speech_only: bool, block: int = 60) -> list[Window]:
    found = cut(pieces(samples), find_speech, block=block, speech_only=speech_only)
    return [window for windows in found for window in windows]


def check_samples(windows: list[Window], samples: Samples) -> None:
    """Assert that each window's samples are those at its place, and that none is too long."""
    for window in windows:
        assert 0 < len(window.samples) <= LONGEST
        assert np.array_equal(window.samples, samples[window.first : window.first + len(window.samples)])


@pytest.mark.parametrize("block", [30, 60, 1000])
def test_all_windows_together_are_the_whole_recording(block: int) -> None:
    windows = windows_of(SPEECH, speech_only=False, block=block)
    check_samples(windows, SPEECH)
    assert np.array_equal(np.concatenate([window.samples for window in windows]), SPEECH)
    assert len(windows) <= 7


def test_windows_end_where_nobody_speaks() -> None:
    sentences = np.concatenate([np.concatenate([voice(seconds), silence(1.5)]) for seconds in (9, 14, 11, 20, 7, 16)])
    for before, after in pairwise(windows_of(sentences, speech_only=False)):
        assert np.abs(before.samples[-1600:]).max() < 0.01
        assert np.abs(after.samples[:1600]).max() < 0.01


@pytest.mark.parametrize("block", [30, 60, 1000])
def test_all_speech_is_in_windows_and_long_silence_is_not(block: int) -> None:
    windows = windows_of(SPEECH, speech_only=True, block=block)
    check_samples(windows, SPEECH)
    assert all(before.first + len(before.samples) <= after.first for before, after in pairwise(windows))
    heard = np.zeros(len(SPEECH), bool)
    for window in windows:
        heard[window.first : window.first + len(window.samples)] = True
    loud = np.abs(SPEECH) > 0.05
    assert heard[loud].mean() > 0.99
    assert not heard[60 * RATE : 100 * RATE].any()


def test_silence_has_no_windows_of_speech_and_whole_ones_otherwise() -> None:
    assert windows_of(silence(100), speech_only=True) == []
    assert sum(len(window.samples) for window in windows_of(silence(100), speech_only=False)) == 100 * RATE


def test_a_short_recording_is_one_window() -> None:
    (window,) = windows_of(voice(0.1), speech_only=False)
    assert (window.start, window.duration) == (0.0, 0.1)


def test_no_more_than_a_block_is_in_memory() -> None:
    taken = 0

    def counted() -> Iterator[Samples]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield voice(2)

    first = next(cut(counted(), find_speech, block=60, speech_only=False))
    assert len(first) >= 2
    assert taken <= 32


def test_speech_is_put_together_where_a_window_has_room() -> None:
    seconds = [(0, 10), (11, 20), (21, 29), (30, 45), (50, 55)]
    spans = [(start * RATE, end * RATE) for start, end in seconds]
    found = [(start // RATE, end // RATE) for start, end in speech_spans(0, spans)]
    assert found == [(0, 29), (30, 45), (50, 55)]


def test_without_pauses_windows_are_as_long_as_they_may_be() -> None:
    assert whole_spans(70 * RATE, []) == [(0, LONGEST), (LONGEST, 2 * LONGEST), (2 * LONGEST, 70 * RATE)]


def test_without_a_detector_the_quietest_moments_are_found() -> None:
    samples = np.concatenate([voice(27), silence(0.5), voice(27)])
    spans = whole_spans(len(samples), quiet_spans(samples))
    assert len(spans) == 2
    assert 27 * RATE < spans[0][1] < 27.5 * RATE


def test_utterances_end_with_silence_or_with_the_recording() -> None:
    samples = np.concatenate([silence(1), voice(2), silence(1), voice(1)])
    found = find_utterances(samples, 0.6, final=False)
    assert len(found.ended) == 1
    assert found.going_on is not None
    assert 3.5 * RATE < found.going_on < 4.5 * RATE
    whole = find_utterances(samples, 0.6, final=True)
    assert len(whole.ended) == 2
    assert (whole.going_on, whole.quiet) == (None, len(samples))
    nothing = find_utterances(silence(5), 0.6, final=False)
    assert (nothing.ended, nothing.going_on) == ([], None)
    assert 4 * RATE < nothing.quiet < 5 * RATE
