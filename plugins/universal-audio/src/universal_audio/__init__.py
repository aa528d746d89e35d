"""Speech to text and text to speech, as a plugin of Universal Runtime."""

from collections.abc import Iterable
from typing import Any

from universal_audio import listen_claim, listen_estimate, speech_claim, speech_estimate
from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, ModelRef, hookimpl

API_VERSION = 1

__all__ = ["API_VERSION", "claim_model", "estimate_memory", "expand_name", "register_backends"]


@hookimpl
def register_backends() -> Iterable[Backend]:
    """Return the backends whose libraries are installed."""
    return (*listen_claim.backends(), *speech_claim.backends())


@hookimpl
def claim_model(info: ModelInfo) -> list[Claim]:
    """Return the offers of every backend whose libraries are installed."""
    return [*listen_claim.claims(info), *speech_claim.claims(info)]


@hookimpl
def estimate_memory(info: ModelInfo, claim: Claim, options: Any, device: str) -> MemoryEstimate | None:
    """Return what a model that hears or speaks takes with these options."""
    match claim.backend:
        case listen_claim.WHISPER.name:
            return listen_estimate.estimate_whisper(info, options, device)
        case listen_claim.RECOGNITION.name:
            return listen_estimate.estimate_recognition(info, options, device)
        case speech_claim.KOKORO.name:
            return speech_estimate.estimate_kokoro(info)
        case speech_claim.TRANSFORMERS.name:
            return speech_estimate.estimate_speech(info, speech_claim.weights_of(info))
    return None


@hookimpl
def expand_name(ref: ModelRef) -> str | None:
    """Return the repository of a model that is known by a short name."""
    return listen_claim.expand_name(ref) or speech_claim.expand_name(ref)
