"""Where there is speech, by the Silero model that comes with faster-whisper."""

from typing import NamedTuple

from faster_whisper.vad import VadOptions, get_speech_timestamps

from universal_audio.listen.recording import RATE, Samples
from universal_audio.listen.windows import SECONDS, Span

# The library's own for windows that are computed together.
_SILENCE_IN_RECORDINGS = 160
_PADDING = 200
# What follows may turn the last moment into the beginning of speech.
_DOUBTFUL = RATE // 2


def find_speech(samples: Samples) -> list[Span]:
    """Return the spans of speech, each at most as long as a window."""
    options = VadOptions(max_speech_duration_s=SECONDS, min_silence_duration_ms=_SILENCE_IN_RECORDINGS)
    return [(int(part["start"]), int(part["end"])) for part in get_speech_timestamps(samples, options)]


class Utterances(NamedTuple):
    """What was said so far: utterances that ended, where one begins that goes on, and where it has long been quiet."""

    ended: list[Span]
    going_on: int | None
    quiet: int


def find_utterances(samples: Samples, silence: float, *, final: bool) -> Utterances:
    """Return the utterances; one ends with so many seconds of silence, or with the samples if these are ``final``."""
    options = VadOptions(
        max_speech_duration_s=SECONDS, min_silence_duration_ms=round(silence * 1000), speech_pad_ms=_PADDING
    )
    found = [(int(part["start"]), int(part["end"])) for part in get_speech_timestamps(samples, options)]
    if final:
        return Utterances(found, None, len(samples))
    # The library lets speech that has not ended go to the very last sample.
    going_on = found.pop()[0] if found and found[-1][1] >= len(samples) else None
    last = found[-1][1] if found else 0
    return Utterances(found, going_on, max(last, len(samples) - _DOUBTFUL))
