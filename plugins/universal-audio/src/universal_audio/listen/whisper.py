"""Whisper through faster-whisper: requests in, segments out as they come."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from itertools import chain
from typing import Any, Literal

import msgspec

from universal_audio.listen import engine
from universal_audio.listen.engine import Engine, Settings
from universal_audio.listen.hearing import Hearing
from universal_audio.listen.load import load_whisper
from universal_audio.listen.options import WhisperOptions
from universal_audio.listen.recording import RATE, Samples, read_recording, resample_pcm
from universal_audio.listen.speech import find_speech, find_utterances
from universal_audio.listen.steps import stepping
from universal_audio.listen.windows import SECONDS, Window, cut
from universal_core import (
    BadRequest,
    Event,
    Heard,
    ListenRequest,
    ListenResult,
    ModelInfo,
    Segment,
    TaskNotSupported,
    TranscribeRequest,
    Usage,
)

# Whisper's encoder makes one vector of 20 ms.
_VECTORS_PER_SECOND = 50
# What is cut at a time: the end of a block is looked at twice, so blocks are no shorter than this.
_WINDOWS_IN_A_BLOCK = 4
# Less than this is no word yet, and a guess at it would only flicker.
_SHORTEST_PARTIAL = RATE // 2
Task = Literal["transcribe", "translate"]
Submitted = tuple[Window, "asyncio.Future[engine.Heard]"]


class Whisper:
    """Transcribes and translates recordings, several at a time; each is read, cut and heard as a stream."""

    def __init__(self, info: ModelInfo, options: WhisperOptions) -> None:
        """Load the model in the folder ``info.path``, converting it first if need be; raises LoadFailed."""
        self._model, self._weights = load_whisper(info, options)
        self._options = options
        hearing = Hearing(self._model, beam_size=options.beam_size, fallback=options.temperature_fallback)
        self._engine = Engine(hearing.hear, options.batch_size)

    def device_memory(self) -> int:
        """Return the bytes of the weights on a GPU; CTranslate2 does not tell what it takes beside them."""
        return self._weights if self._model.model.device == "cuda" else 0

    def close(self) -> None:
        """Wait for what is being computed."""
        self._engine.close()

    async def transcribe(self, request: TranscribeRequest) -> AsyncIterator[Event]:
        """Write down what is said, in its language."""
        async with aclosing(self._write(request, "transcribe")) as events:
            async for event in events:
                yield event

    async def translate(self, request: TranscribeRequest) -> AsyncIterator[Event]:
        """Write down in English what is said. Raises TaskNotSupported for a model that knows English alone."""
        if not self._model.model.is_multilingual:
            raise TaskNotSupported("this Whisper knows English alone, so it cannot translate", param="model")
        async with aclosing(self._write(request, "translate")) as events:
            async for event in events:
                yield event

    async def _write(self, request: TranscribeRequest, task: Task) -> Any:
        settings = self._settings(request, task)
        probability, tokens, duration = None, 0, _Length()
        async with aclosing(self._windows(request, duration)) as blocks:
            waiting: deque[Submitted] = deque()
            try:
                async for block in blocks:
                    if not request.language and probability is None:
                        settings, probability = await self._detect(settings, block[0].samples)
                    waiting.extend((window, self._engine.submit(settings, window.samples)) for window in block)
                    # The next block is read while this one is computed, and no further.
                    while len(waiting) > self._options.batch_size:
                        for segment in await _heard(waiting):
                            tokens += len(segment.tokens)
                            yield segment
                while waiting:
                    for segment in await _heard(waiting):
                        tokens += len(segment.tokens)
                        yield segment
            finally:
                for _, done in waiting:
                    done.cancel()
        yield Heard(duration=duration.seconds, language=settings.language, language_probability=probability)
        yield Usage(prompt_tokens=self._read_tokens(duration.seconds, request.prompt), completion_tokens=tokens)

    def _windows(self, request: TranscribeRequest, duration: "_Length") -> Any:
        """Yield the recording's windows, a block at a time; decoded and cut on a thread."""
        pieces = duration.of(read_recording(request.audio, longest=self._options.longest))
        block = SECONDS * max(self._options.batch_size, _WINDOWS_IN_A_BLOCK)
        return stepping(cut(pieces, find_speech, block=block, speech_only=request.vad_filter))

    def _settings(self, request: TranscribeRequest | ListenRequest, task: Task) -> Settings:
        """Return what a request's windows have in common. Raises BadRequest for a language that the model lacks."""
        known = self._model.supported_languages
        if request.language and request.language not in known:
            raise BadRequest(
                f"language: this model does not know {request.language!r}; it knows {', '.join(sorted(known))}",
                param="language",
            )
        settings = Settings(
            task=task, language=request.language or "en", prompt=request.prompt, hotwords=request.hotwords
        )
        if isinstance(request, ListenRequest):
            return settings
        return msgspec.structs.replace(settings, words=request.words, temperature=request.temperature)

    async def _detect(self, settings: Settings, samples: Samples) -> tuple[Settings, float]:
        """Return the settings with the language of some samples, and how sure the model is of it."""
        if not self._model.model.is_multilingual:
            return settings, 1.0
        language, probability, _ = await asyncio.to_thread(self._model.detect_language, audio=samples)
        return msgspec.structs.replace(settings, language=language), float(probability)

    def _read_tokens(self, seconds: float, prompt: str | None) -> int:
        """Return how many vectors of sound and tokens of text the model was given."""
        text = len(self._model.hf_tokenizer.encode(prompt, add_special_tokens=False).ids) if prompt else 0
        return math.ceil(seconds * _VECTORS_PER_SECOND) + text

    async def listen(self, request: ListenRequest) -> ListenResult:
        """Write down the utterances that have ended, and guess at one that goes on."""
        settings = self._settings(request, "transcribe")
        samples = resample_pcm(request.audio, request.sample_rate)
        utterances = await asyncio.to_thread(find_utterances, samples, request.silence, final=request.final)
        if not utterances.ended and utterances.going_on is None:
            return ListenResult(consumed=_samples_at(utterances.quiet, request))
        if not request.language:
            begin = utterances.ended[0][0] if utterances.ended else utterances.going_on or 0
            settings, _ = await self._detect(settings, samples[begin:][: SECONDS * RATE])
        futures = [
            (Window(start, samples[start:end]), self._engine.submit(settings, samples[start:end]))
            for start, end in utterances.ended
        ]
        waiting = deque(futures)
        partial = None
        try:
            found = [segment for _ in futures for segment in await _heard(waiting)]
            going_on = utterances.going_on
            if going_on is not None and len(samples) - going_on >= _SHORTEST_PARTIAL:
                waiting.append(
                    (Window(going_on, samples[going_on:]), self._engine.submit(settings, samples[going_on:]))
                )
                partial = joined(await _heard(waiting))
        finally:
            for _, done in waiting:
                done.cancel()
        consumed = utterances.going_on if utterances.going_on is not None else utterances.quiet
        return ListenResult(segments=tuple(found), consumed=_samples_at(consumed, request), partial=partial)


class _Length:
    """Counts the seconds of the pieces that pass."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def of(self, pieces: Iterator[Samples]) -> Iterator[Samples]:
        for piece in pieces:
            self.seconds += len(piece) / RATE
            yield piece


async def _heard(waiting: deque[Submitted]) -> list[Segment]:
    """Return the first window's segments when it has them, with times from the start of the recording."""
    window, done = waiting[0]
    segments = await done
    waiting.popleft()
    return [moved(segment, window.start) for segment in segments]


def moved(segment: Segment, seconds: float) -> Segment:
    """Return a segment that is said so much later."""
    return msgspec.structs.replace(
        segment,
        start=round(segment.start + seconds, 3),
        end=round(segment.end + seconds, 3),
        seek=round(seconds * 100),
        words=tuple(
            msgspec.structs.replace(word, start=round(word.start + seconds, 3), end=round(word.end + seconds, 3))
            for word in segment.words
        ),
    )


def joined(segments: list[Segment]) -> Segment | None:
    """Return segments as one, None for none."""
    if not segments:
        return None
    return Segment(
        start=segments[0].start,
        end=segments[-1].end,
        text="".join(segment.text for segment in segments),
        tokens=tuple(chain.from_iterable(segment.tokens for segment in segments)),
    )


def _samples_at(place: int, request: ListenRequest) -> int:
    """Return a place among samples at 16000 a second as one among those of the request."""
    return min(place * request.sample_rate // RATE, len(request.audio) // 2)
