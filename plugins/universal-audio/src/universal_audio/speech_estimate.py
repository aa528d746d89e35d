"""What a model that speaks takes, told from its files, the options and the device, before it is loaded."""

from collections.abc import Mapping
from math import prod
from typing import Any

from universal_core import MemoryEstimate, ModelInfo

# Measured: what a worker has for itself of Python and of the libraries that its nursery has imported, and of Kokoro's
# English, its dictionaries.
_PROCESS = {"kokoro": 260 * 2**20, "text-to-speech": 100 * 2**20}
# Measured: what Kokoro takes to speak 510 phonemes, the most at a time, and what it is before any sound: its weights
# are read twice, once with the norms of convolutions apart.
_KOKORO_WORKING = 1024 * 2**20
_FLOAT = 4
_ELEMENTS = {"float32": 4, "bfloat16": 2, "float16": 2}
# Of sound, that the longest piece of a text, 400 characters, becomes: a VITS speaks 14 characters a second.
_SECONDS = 29
# Measured with a VITS on a processor, of 3 to 15 s of sound: 25 MB a second, which is 12.2 times its widest layer; half
# of that are what convolutions make of their inputs and outputs for themselves, and what the allocator keeps.
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
