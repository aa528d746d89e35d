"""Writing down what is said in a recording."""

from typing import ClassVar

import msgspec

from universal_core.messages.message import Event, Request, Result


class TranscribeRequest(Request, frozen=True, kw_only=True):
    """Write down what is said (task ``transcribe``), or write it down in English (task ``translate``).

    ``audio`` is a whole file of any container. ``language`` is a code such as ``en``; None lets the model find out.
    ``temperature`` None means the best guess, and higher temperatures where that guess is poor. ``words`` asks for the
    time of each word, ``vad_filter`` for leaving out what is not speech.
    """

    basic: ClassVar[frozenset[str]] = frozenset({"audio"})

    audio: bytes
    language: str | None = None
    prompt: str | None = None
    temperature: float | None = None
    words: bool = False
    vad_filter: bool = False
    hotwords: str | None = None

    def features(self) -> dict[str, str]:
        """Return the features used; the time of words is asked for by ``timestamp_granularities``."""
        found = super().features()
        if "words" in found:
            found["words"] = "timestamp_granularities"
        return found


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """A word, when it is said in seconds from the start, and how sure the model is, in 0..1."""

    word: str
    start: float
    end: float
    probability: float = 1.0


class Segment(Event, frozen=True, kw_only=True):
    """A stretch of speech: its text, and when it is said in seconds from the start.

    ``text`` begins with a space where one belongs before it. ``tokens`` are the model's own; the probabilities are
    those of Whisper: the mean logprob of the tokens, the ratio by which zlib shortens the text, and the probability
    that nothing is said.
    """

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    tokens: tuple[int, ...] = ()
    seek: int = 0
    temperature: float = 0.0
    avg_logprob: float = 0.0
    compression_ratio: float = 1.0
    no_speech_prob: float = 0.0


class Heard(Event, frozen=True, kw_only=True):
    """The end of a transcription: the recording's seconds and language, None where the model does not tell."""

    duration: float
    language: str | None = None
    language_probability: float | None = None


class ListenRequest(Request, frozen=True, kw_only=True):
    """Write down speech that is still going on (task ``listen``).

    ``audio`` is what has come and is not finished: 16-bit little-endian samples of one channel. Nothing is kept between
    two requests. ``final`` says that no more will come; ``silence`` is how many seconds of it end an utterance.
    """

    basic: ClassVar[frozenset[str]] = frozenset({"audio", "sample_rate", "final", "silence"})

    audio: bytes
    sample_rate: int = 16000
    final: bool = False
    silence: float = 0.6
    language: str | None = None
    prompt: str | None = None
    hotwords: str | None = None


class ListenResult(Result, frozen=True, kw_only=True):
    """What is finished of the audio, and a guess at the rest.

    ``segments`` will not change, the first ``consumed`` samples are done with, and ``partial`` is what the rest says.
    """

    segments: tuple[Segment, ...] = ()
    consumed: int = 0
    partial: Segment | None = None
