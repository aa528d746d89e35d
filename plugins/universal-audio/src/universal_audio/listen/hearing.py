"""A loaded Whisper of faster-whisper: windows in, segments out."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.transcribe import Segment as FoundSegment
from faster_whisper.transcribe import get_compression_ratio

from universal_audio.listen.engine import Heard, Settings
from universal_audio.listen.recording import RATE, Samples
from universal_core import Segment, Word

# The values with which OpenAI's own code decides that a guess is poor, and that nothing is said.
POOR_LOGPROB = -1.0
POOR_COMPRESSION = 2.4
SILENT = 0.6
HIGHER_TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)

_FRAMES_PER_SECOND = 100
_SHORTEST = RATE // 10
_TIMESTAMPS = 1500


class Pipeline(BatchedInferencePipeline):  # type: ignore[misc]
    """The library's batched pipeline, which keeps the end of a window too.

    It drops what a model says after the last pair of timestamps of a window: one after the other, the next window
    would begin there. Here windows are cut before, so what is left open is closed at the window's end.
    """

    def generate_segment_batched(self, features: Any, tokenizer: Any, options: Any) -> Any:
        """Return the encoder's output and the tokens of each window."""
        encoded, outputs = super().generate_segment_batched(features, tokenizer, options)
        for output in outputs:
            tokens = output["tokens"]
            if tokens and tokens[-1] < tokenizer.timestamp_begin:
                output["tokens"] = [*tokens, tokenizer.timestamp_begin + _TIMESTAMPS]
        return encoded, outputs


class Hearing:
    """Hears windows in batches, and those again one by one whose best guess is poor."""

    def __init__(self, model: WhisperModel, *, beam_size: int, fallback: bool) -> None:
        self._model = model
        self._pipeline = Pipeline(model)
        self._beam_size = beam_size
        self._fallback = fallback

    def hear(self, settings: Settings, windows: Sequence[Samples]) -> list[Heard]:
        """Return the segments of each window."""
        if settings.temperature:
            return [self._one(settings, window, (settings.temperature,)) for window in windows]
        answers = self._batch(settings, windows)
        return [
            self._one(settings, window, HIGHER_TEMPERATURES) if self._fallback and is_poor(answer) else _spoken(answer)
            for answer, window in zip(answers, windows, strict=True)
        ]

    def _batch(self, settings: Settings, windows: Sequence[Samples]) -> list[Heard]:
        """Hear all windows at once: to the library they are clips of one recording."""
        clips, places, start = [], {}, 0
        for number, window in enumerate(windows):
            end = start + max(len(window), _SHORTEST)
            clips.append({"start": start / RATE, "end": end / RATE})
            # The library tells by a segment's ``seek`` to which clip it belongs; these are its own steps to it.
            first = int(start / RATE * RATE) / RATE
            places[int(first * _FRAMES_PER_SECOND)] = (number, first)
            start = end
        audio = np.zeros(start, np.float32)
        for clip, window in zip(clips, windows, strict=True):
            first_sample = round(clip["start"] * RATE)
            audio[first_sample : first_sample + len(window)] = window
        found, _ = self._pipeline.transcribe(
            audio,
            clip_timestamps=clips,
            batch_size=len(clips),
            without_timestamps=False,
            temperature=0.0,
            **self._shared(settings),
        )
        answers: list[Heard] = [[] for _ in windows]
        for segment in found:
            number, offset = places[segment.seek]
            answers[number].append(_segment(segment, -offset, len(windows[number]) / RATE))
        return answers

    def _one(self, settings: Settings, window: Samples, temperatures: Sequence[float]) -> Heard:
        """Hear one window at a temperature, or at several until a guess is good, as the library does it."""
        found, _ = self._model.transcribe(
            window, temperature=list(temperatures), condition_on_previous_text=False, **self._shared(settings)
        )
        return [_segment(segment, 0.0, len(window) / RATE) for segment in found]

    def _shared(self, settings: Settings) -> dict[str, Any]:
        return {
            "task": settings.task,
            "language": settings.language,
            "initial_prompt": settings.prompt,
            "hotwords": settings.hotwords,
            "word_timestamps": settings.words,
            "beam_size": self._beam_size,
            "vad_filter": False,
        }


def is_poor(answer: Heard) -> bool:
    """Whether a window should be heard again: its tokens are unlikely, or its text repeats itself."""
    if not answer or is_silent(answer):
        return False
    text = "".join(segment.text for segment in answer)
    return answer[0].avg_logprob < POOR_LOGPROB or get_compression_ratio(text) > POOR_COMPRESSION


def is_silent(answer: Heard) -> bool:
    """Whether nothing is said in a window, whatever the model made of it."""
    return any(part.no_speech_prob > SILENT and part.avg_logprob < POOR_LOGPROB for part in answer[:1])


def _spoken(answer: Heard) -> Heard:
    return [] if is_silent(answer) else [part for part in answer if part.text.strip()]


def _segment(found: FoundSegment, shift: float, duration: float) -> Segment:
    """Return a segment of the library's with times from the window's start, none of them after its end."""

    def moved(seconds: float) -> float:
        return round(float(min(max(seconds + shift, 0.0), duration)), 3)

    return Segment(
        start=moved(found.start),
        end=moved(found.end),
        text=found.text,
        words=tuple(_words(found.words or (), moved)),
        tokens=tuple(found.tokens),
        temperature=float(found.temperature or 0.0),
        avg_logprob=float(found.avg_logprob),
        compression_ratio=float(found.compression_ratio),
        no_speech_prob=float(found.no_speech_prob),
    )


def _words(found: Iterable[Any], moved: Any) -> Iterable[Word]:
    for word in map(asdict, found):
        yield Word(
            word=word["word"],
            start=moved(word["start"]),
            end=moved(word["end"]),
            probability=min(max(float(word["probability"]), 0.0), 1.0),
        )
