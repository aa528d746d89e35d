"""Speech models of transformers (VITS and MMS, SpeechT5, Bark), through its text-to-audio pipeline."""

import importlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import SpeechT5HifiGan, pipeline

from universal_audio.speech.options import SpeechOptions
from universal_audio.speech.speaking import Utterance, narrate
from universal_audio.speech.voices import near
from universal_core import (
    BadRequest,
    Event,
    ListVoicesRequest,
    ListVoicesResult,
    LoadFailed,
    ModelInfo,
    SpeakRequest,
    Voice,
)
from universal_core.pytorch import pick_device, taken_memory, use_threads

USUAL_VOCODER = "microsoft/speecht5_hifigan"
"""What SpeechT5 was published with; its own weights make spectrograms, and this makes sound of them."""

ONLY_VOICE = "default"


class SpeechModel:
    """Speaks with a model of transformers; all that is computed runs on one thread, a sentence at a time."""

    def __init__(self, info: ModelInfo, options: SpeechOptions) -> None:
        """Load the model in the folder ``info.path``; raises LoadFailed."""
        if info.path is None:
            raise LoadFailed(f"{info.id} is not on this machine.")
        with suppress(ImportError):
            # Tells phonemizer, which the tokenizers of some VITS models call, where its espeak is.
            importlib.import_module("misaki.espeak")
        self._device = pick_device(options.device)
        self._kind = info.config.get("model_type")
        self._pipeline: Any = pipeline("text-to-audio", info.path, device=self._device, **_vocoder(info, options))
        self._voices = _voices(self._kind, self._pipeline, Path(info.path))
        self._language = options.language
        self._threads = options.threads
        self._thread = ThreadPoolExecutor(1, "speech")

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def device_memory(self) -> int:
        """Return the bytes that are taken on an accelerator."""
        return taken_memory(self._device)

    async def list_voices(self, request: ListVoicesRequest) -> ListVoicesResult:
        """Name the model's speakers."""
        names = ((id, id.replace("/", " ").replace("_", " ").title()) for id in self._voices)
        return ListVoicesResult(voices=tuple(Voice(id=id, name=name, language=self._language) for id, name in names))

    async def speak(self, request: SpeakRequest) -> AsyncIterator[Event]:
        """Speak a text, a sentence at a time. Raises BadRequest."""
        voice = request.voice or next(iter(self._voices))
        if voice not in self._voices:
            raise BadRequest(f"voice: there is no {voice!r}{near(voice, list(self._voices))}", param="voice")
        say = partial(self._say, self._voices[voice], request.speed)
        rate = int(self._pipeline.sampling_rate)
        async with aclosing(narrate(request, say, rate=rate, language=self._language, thread=self._thread)) as events:
            async for event in events:
                yield event

    def _say(self, voice: dict[str, Any], speed: float, piece: str, seed: int) -> Utterance:
        tokens = len(self._pipeline.tokenizer(piece)["input_ids"])
        if not any(character.isalnum() for character in piece) or not tokens:
            return Utterance(np.zeros(0, np.float32), 0)
        use_threads(self._threads)
        torch.manual_seed(seed)
        with torch.inference_mode():
            sound = self._pipeline(piece, **self._at_speed(voice, speed))
        return Utterance(np.asarray(sound["audio"], np.float32).reshape(-1), tokens)

    def _at_speed(self, voice: dict[str, Any], speed: float) -> dict[str, Any]:
        if speed == 1.0:
            return voice
        rate = self._pipeline.model.config.speaking_rate * speed
        return {**voice, "forward_params": {**voice.get("forward_params", {}), "speaking_rate": rate}}


def _vocoder(info: ModelInfo, options: SpeechOptions) -> dict[str, Any]:
    """Return what the pipeline needs beside the model: for SpeechT5 a vocoder. Raises LoadFailed."""
    if info.config.get("model_type") != "speecht5":
        return {}
    beside = Path(info.path or "") / "vocoder"
    name = options.vocoder or (str(beside) if beside.is_dir() else USUAL_VOCODER)
    try:
        return {"vocoder": SpeechT5HifiGan.from_pretrained(name)}
    except OSError as error:
        raise LoadFailed(
            f"the vocoder {name} could not be loaded ({str(error).splitlines()[0]}); put one into the folder `vocoder` "
            "of the model, or name one with the option `vocoder`"
        ) from None


def _voices(kind: object, found: Any, folder: Path) -> dict[str, dict[str, Any]]:
    """Return what the pipeline is to be called with for each voice, the first of them the default one."""
    match kind:
        case "vits" if found.model.config.num_speakers > 1:
            numbers = range(found.model.config.num_speakers)
            return {f"speaker_{number}": {"forward_params": {"speaker_id": number}} for number in numbers}
        case "bark" if found.processor is not None and found.processor.speaker_embeddings:
            names = sorted(name for name in found.processor.speaker_embeddings if name != "repo_or_path")
            return {ONLY_VOICE: {}} | {name: {"preprocess_params": {"voice_preset": name}} for name in names}
        case "speecht5":
            vectors = {path.stem: np.load(path, allow_pickle=False) for path in sorted(folder.glob("voices/*.npy"))}
            vectors = vectors or {ONLY_VOICE: np.zeros(found.model.config.speaker_embedding_dim)}
            return {name: {"forward_params": {"speaker_embeddings": _row(vector)}} for name, vector in vectors.items()}
    return {ONLY_VOICE: {}}


def _row(vector: Any) -> torch.Tensor:
    return torch.from_numpy(np.asarray(vector, np.float32)).reshape(1, -1)
