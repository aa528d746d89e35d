"""From a request to a recording: piece by piece, on the model's one thread, so that several requests take turns."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor

import msgspec
import numpy as np

from universal_audio.speech.encoding import Encoder, Samples
from universal_audio.speech.sentences import split, whole
from universal_core import AudioChunk, BadRequest, Event, SpeakRequest, Spoken, Usage

BLOCK_SECONDS = 0.25
"""The length of what is encoded at a time, so that no event is large."""

FRAMES_PER_SECOND = 40
"""What usage counts of sound: frames of 25 ms, the unit in which Kokoro decides how long each phoneme lasts."""

_SEEDS = 2**63


class Utterance(msgspec.Struct, frozen=True):
    """A piece of text as sound: samples of shape (n,) in -1..1, and how many tokens of it the model read."""

    samples: Samples
    tokens: int


Say = Callable[[str, int], Utterance]
"""Speaks a piece of text, with this seed for whatever is drawn at random; called on the model's thread."""


async def narrate(
    request: SpeakRequest, say: Say, *, rate: int, language: str, thread: Executor
) -> AsyncGenerator[Event]:
    """Yield the recording of a request: chunks, then a Usage and a Spoken.

    ``rate`` is the model's samples per second. Each piece is a turn on the thread, between those of other requests; a
    request that is cancelled ends with the piece being spoken. Raises BadRequest where there is nothing to speak.
    """
    text = request.text[: whole(request.text, language)] if request.unfinished else request.text
    encoder = Encoder(request.format, rate, request.sample_rate, name=request.text)
    seed = secrets.randbelow(_SEEDS) if request.seed is None else request.seed % _SEEDS
    loop = asyncio.get_running_loop()
    spoken, tokens = 0, 0
    for position, piece in enumerate(split(text, language) if text else ()):
        found = await loop.run_in_executor(thread, say, piece, (seed + position) % _SEEDS)
        spoken, tokens = spoken + len(found.samples), tokens + found.tokens
        for chunk in _encoded(encoder, found.samples, rate):
            yield chunk
            # The loop turns, so that the chunk leaves before the rest of the sentence is encoded.
            await asyncio.sleep(0)
    if spoken:
        yield AudioChunk(data=encoder.finish(), sample_rate=encoder.sample_rate)
    elif not request.unfinished:
        raise BadRequest("input: there is nothing in this text that can be spoken", param="input")
    seconds = spoken / rate
    yield Usage(prompt_tokens=tokens, completion_tokens=round(seconds * FRAMES_PER_SECOND))
    yield Spoken(seconds=seconds, characters=len(text))


def _encoded(encoder: Encoder, samples: Samples, rate: int) -> Iterator[AudioChunk]:
    blocks = max(1, round(len(samples) / (rate * BLOCK_SECONDS)))
    for block in np.array_split(samples, blocks):
        if len(block) and (data := encoder.feed(block)):
            yield AudioChunk(data=data, sample_rate=encoder.sample_rate)
