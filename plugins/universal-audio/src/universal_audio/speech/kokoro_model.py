"""Kokoro: phonemes and a voice into sound."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path

import numpy as np
import torch
from kokoro import KModel
from torch import Tensor

from universal_audio.speech.languages import Reader, open_reader, resolve
from universal_audio.speech.options import KokoroOptions
from universal_audio.speech.sentences import cut
from universal_audio.speech.speaking import Utterance, narrate
from universal_audio.speech.voices import Share, describe, ordered, parse_mix
from universal_core import (
    BadRequest,
    Event,
    ListVoicesRequest,
    ListVoicesResult,
    LoadFailed,
    ModelInfo,
    SpeakRequest,
    UniversalError,
)
from universal_core.pytorch import pick_device, taken_memory, use_threads

RATE = 24000
"""Kokoro's samples per second."""

MOST_PHONEMES = 510
"""What the model reads at a time; a voice has a style for each length up to this."""

# Where phonemes are cut that are too many, the greatest pause first; those of all languages have these marks.
_PAUSES = (r"[.!?\u2026]\s*", r"[:;,\u2014]\s*", r"\s+")


class KokoroModel:
    """Speaks with the voices in the model's folder; all that is computed runs on one thread, a sentence at a time."""

    def __init__(self, info: ModelInfo, options: KokoroOptions) -> None:
        """Load the model in the folder ``info.path``; raises LoadFailed."""
        folder = Path(info.path or "")
        weights = weights_in(info)
        if info.path is None or weights is None:
            raise LoadFailed(f"{info.id} is not on this machine.")
        device = pick_device(options.device)
        self._model = _load(folder / "config.json", folder / weights).to(device).eval()
        self._device = device
        self._voices = ordered(path.stem for path in (folder / "voices").glob("*.pt"))
        self._folder = folder / "voices"
        self._default = _default(options.voice, self._voices)
        self._styles: dict[str, Tensor] = {}
        self._readers: dict[str, Reader] = {}
        self._threads = options.threads
        self._thread = ThreadPoolExecutor(1, "speech")
        with suppress(UniversalError):
            # A dictionary takes a second to read, which the first request need not wait for.
            mix = parse_mix(self._default, self._voices)
            self._thread.submit(self._prepare, language_of(mix[0].voice), mix).result()

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def device_memory(self) -> int:
        """Return the bytes that are taken on an accelerator."""
        return taken_memory(self._device)

    async def list_voices(self, request: ListVoicesRequest) -> ListVoicesResult:
        """Name the voices in the model's folder."""
        return ListVoicesResult(voices=tuple(map(describe, self._voices)))

    async def speak(self, request: SpeakRequest) -> AsyncIterator[Event]:
        """Speak a text, a sentence at a time. Raises BadRequest, TaskNotSupported."""
        mix = parse_mix(request.voice or self._default, self._voices)
        language = resolve(request.language) if request.language else language_of(mix[0].voice)
        loop = asyncio.get_running_loop()
        read, style = await loop.run_in_executor(self._thread, self._prepare, language, mix)
        say = partial(self._say, read, style, request.speed)
        async with aclosing(narrate(request, say, rate=RATE, language=language, thread=self._thread)) as events:
            async for event in events:
                yield event

    def _prepare(self, language: str, mix: list[Share]) -> tuple[Reader, Tensor]:
        if language not in self._readers:
            self._readers[language] = open_reader(language)
        styles = [self._style(share.voice) * share.weight for share in mix]
        return self._readers[language], torch.stack(styles).sum(dim=0)

    def _style(self, voice: str) -> Tensor:
        """Return a voice's style for each number of phonemes: (510, 1, 256)."""
        if voice not in self._styles:
            self._styles[voice] = torch.load(self._folder / f"{voice}.pt", "cpu", weights_only=True)
        return self._styles[voice]

    def _say(self, read: Reader, style: Tensor, speed: float, piece: str, seed: int) -> Utterance:
        use_threads(self._threads)
        # The excitation of the vocoder is drawn from PyTorch's global generator.
        torch.manual_seed(seed)
        parts = list(self._parts(read(piece)))
        sounds = [self._model(phonemes, style[len(phonemes) - 1], speed).numpy() for phonemes in parts]
        samples = np.concatenate(sounds) if sounds else np.zeros(0, np.float32)
        return Utterance(samples, sum(map(len, parts)))

    def _parts(self, phonemes: str) -> Iterator[str]:
        """Yield what the model can read at a time, without what it has no sound for."""
        for part in cut(phonemes, MOST_PHONEMES, _PAUSES):
            part = part.strip()
            if any(phoneme.isalpha() and phoneme in self._model.vocab for phoneme in part):
                yield part


def _load(config: Path, weights: Path) -> KModel:
    with warnings.catch_warnings():
        # The library builds its layers in ways that PyTorch warns of, and nobody who reads the log can heed that.
        warnings.simplefilter("ignore")
        # With the name of a repository, any, it does not warn that none was given.
        return KModel(repo_id="hexgrad/Kokoro-82M", config=str(config), model=str(weights))


def _default(configured: str | None, voices: list[str]) -> str:
    """Return the voice of requests that name none: the first of lists is the usual one, where it is there."""
    if configured is None:
        return voices[0]
    try:
        parse_mix(configured, voices)
    except BadRequest as error:
        raise LoadFailed(f"the option `voice`: {error.message}") from None
    return configured


def language_of(voice: str) -> str:
    """Return the language that a voice is made for. Raises BadRequest where its name does not tell."""
    found = describe(voice).language
    if found is None:
        raise BadRequest(f"language: the name of the voice {voice!r} does not tell it; send language", param="language")
    return found


def weights_in(info: ModelInfo) -> str | None:
    """Return the name of a Kokoro model's weights file, None where it has none."""
    return next((file.name for file in info.matching("*.pth") if "/" not in file.name), None)
