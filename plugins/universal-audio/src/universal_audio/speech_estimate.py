"""What a model that speaks takes, told from its files, the options and the device, before it is loaded."""

from collections.abc import Mapping
from math import prod
from typing import Any

from universal_core import MemoryEstimate, ModelInfo

# What a worker has for itself of Python and of the libraries that its nursery has imported. Measured with Kokoro, with
# the dictionaries of English and one voice; with a VITS it is what is left of the peak beside weights and sound.
_PROCESS = {"kokoro": 347 * 10**6, "text-to-speech": 60 * 10**6}
# Measured on a processor: what Kokoro takes for the longest piece of a text, 400 characters, three frames a phoneme.
_KOKORO_WORKING = 1330 * 10**6
_FLOAT = 4
_ELEMENTS = {"float32": 4, "bfloat16": 2, "float16": 2}
# Of sound, that the longest piece of a text, 400 characters, becomes: a VITS speaks 14 characters a second.
_SECONDS = 29
# Measured with a VITS on a processor, of 3 to 15 s of sound: 25 MB a second, which is 12.2 times its widest layer.
# SpeechT5 and Bark were not measured.
_COPIES = 12.2


def estimate_kokoro(info: ModelInfo) -> MemoryEstimate:
    """Return what Kokoro takes; nothing that can be configured changes it."""
    weights = sum(file.size for file in info.matching("*.pth") if "/" not in file.name)
    voices = info.size_of("voices/*.pt")
    return MemoryEstimate(weights=weights, working=_KOKORO_WORKING, host=_PROCESS["kokoro"] + voices)


def estimate_speech(info: ModelInfo, files: tuple[str, ...]) -> MemoryEstimate:
    """Return what a speech model of transformers takes, which computes in the format of its files."""
    vocoder = info.size_of("vocoder/*.safetensors", "vocoder/*.bin")
    return MemoryEstimate(
        weights=info.size_of(*files) + vocoder, working=_sounding(info.config), host=_PROCESS["text-to-speech"]
    )


def _sounding(config: Mapping[str, Any]) -> int:
    """Return the bytes that the last layers of a vocoder take for the longest piece of a text, all samples wide."""
    rates = config.get("upsample_rates") or (4, 4, 4, 4)
    channels = int(config.get("upsample_initial_channel") or 512)
    samples = int(config.get("sampling_rate") or 16000) * _SECONDS
    widest = max(channels / 2 ** (level + 1) / prod(rates[level + 1 :]) for level in range(len(rates)))
    return int(_COPIES * samples * widest * _FLOAT)
