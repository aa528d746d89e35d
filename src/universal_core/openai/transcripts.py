"""What is said in a recording, in each form that a client may ask for."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from universal_core.messages import Heard, Message, Segment, Usage, Word
from universal_core.openai.languages import language_name


class DurationUsage(msgspec.Struct, frozen=True, tag="duration"):
    """What was transcribed, in seconds, as OpenAI counts it."""

    seconds: float


class TokenUsage(msgspec.Struct, frozen=True, tag="tokens"):
    """What was read and written, in the model's tokens."""

    input_tokens: int
    output_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, usage: Usage) -> "TokenUsage":
        """Return the wire form of a usage."""
        return cls(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)


class Transcription(msgspec.Struct, frozen=True):
    """The ``json`` form."""

    text: str
    usage: DurationUsage


class WordBody(msgspec.Struct, frozen=True):
    """A word of the ``verbose_json`` form."""

    word: str
    start: float
    end: float
    probability: float

    @classmethod
    def of(cls, word: Word) -> "WordBody":
        """Return the wire form of a word."""
        return cls(word.word.strip(), _round(word.start), _round(word.end), _round(word.probability))


class SegmentBody(msgspec.Struct, frozen=True, kw_only=True):
    """A segment of the ``verbose_json`` form."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float

    @classmethod
    def of(cls, number: int, segment: Segment) -> "SegmentBody":
        """Return the wire form of a segment."""
        return cls(
            id=number,
            seek=segment.seek,
            start=_round(segment.start),
            end=_round(segment.end),
            text=segment.text,
            tokens=segment.tokens,
            temperature=segment.temperature,
            avg_logprob=segment.avg_logprob,
            compression_ratio=segment.compression_ratio,
            no_speech_prob=segment.no_speech_prob,
        )


class VerboseTranscription(msgspec.Struct, frozen=True, kw_only=True):
    """The ``verbose_json`` form."""

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    segments: list[SegmentBody] | msgspec.UnsetType = msgspec.UNSET
    words: list[WordBody] | msgspec.UnsetType = msgspec.UNSET
    language_probability: float | msgspec.UnsetType = msgspec.UNSET
    usage: DurationUsage


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """All that a model gave for a recording."""

    segments: list[Segment]
    heard: Heard

    @classmethod
    def of(cls, messages: Iterable[Message]) -> "Transcript":
        """Put the events of a model together."""
        found = list(messages)
        ends = [message for message in found if isinstance(message, Heard)]
        segments = [message for message in found if isinstance(message, Segment)]
        return cls(
            segments=segments,
            heard=ends[-1] if ends else Heard(duration=max((segment.end for segment in segments), default=0.0)),
        )

    @property
    def text(self) -> str:
        """All that is said."""
        return "".join(segment.text for segment in self.segments).strip()

    @property
    def usage(self) -> DurationUsage:
        """The seconds that OpenAI would bill."""
        return DurationUsage(math.ceil(self.heard.duration))

    def plain(self) -> Transcription:
        """Return the ``json`` form."""
        return Transcription(self.text, self.usage)

    def verbose(self, task: Literal["transcribe", "translate"], granularities: Sequence[str]) -> VerboseTranscription:
        """Return the ``verbose_json`` form, with segments unless words alone are asked for."""
        language, probability = self.heard.language, self.heard.language_probability
        words = [WordBody.of(word) for segment in self.segments for word in segment.words]
        segments = [SegmentBody.of(number, segment) for number, segment in enumerate(self.segments)]
        return VerboseTranscription(
            task=task,
            language="english" if task == "translate" else language_name(language),
            duration=_round(self.heard.duration),
            text=self.text,
            segments=segments if "segment" in granularities or "word" not in granularities else msgspec.UNSET,
            words=words if "word" in granularities else msgspec.UNSET,
            language_probability=msgspec.UNSET if probability is None else _round(probability),
            usage=self.usage,
        )


def as_text(transcript: Transcript) -> str:
    """Return the ``text`` form: one line."""
    return transcript.text + "\n"


def as_srt(transcript: Transcript) -> str:
    """Return the ``srt`` form: SubRip's numbered subtitles."""
    return "".join(
        f"{number}\n{_clock(segment.start, ',')} --> {_clock(segment.end, ',')}\n{_line(segment)}\n\n"
        for number, segment in enumerate(transcript.segments, 1)
    )


def as_vtt(transcript: Transcript) -> str:
    """Return the ``vtt`` form: WebVTT."""
    return "WEBVTT\n\n" + "".join(
        f"{_clock(segment.start, '.')} --> {_clock(segment.end, '.')}\n{_line(segment)}\n\n"
        for segment in transcript.segments
    )


PLAIN_FORMS: dict[str, tuple[Callable[[Transcript], str], str]] = {
    "text": (as_text, "text/plain; charset=utf-8"),
    "srt": (as_srt, "text/plain; charset=utf-8"),
    "vtt": (as_vtt, "text/vtt; charset=utf-8"),
}
"""The forms that are no JSON, with their media types. SubRip has none of its own that is registered."""


def _line(segment: Segment) -> str:
    """Return a segment's text as a subtitle has it: no empty line, and no arrow, for both would end it."""
    return " ".join(segment.text.split()).replace("-->", "->")


def _clock(seconds: float, point: str) -> str:
    """Return hours, minutes, seconds and milliseconds: ``00:01:02,345``."""
    milliseconds = max(round(seconds * 1000), 0)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{point}{milliseconds:03}"


def _round(number: float) -> float:
    return round(number, 3)
