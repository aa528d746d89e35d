"""Speech to text and text to speech, as a plugin of Universal Runtime."""

from collections.abc import Iterable

from universal_audio import listen_claim, speech_claim
from universal_core import Backend, Claim, ModelInfo, ModelRef, hookimpl

API_VERSION = 1

__all__ = ["API_VERSION", "claim_model", "expand_name", "register_backends"]


@hookimpl
def register_backends() -> Iterable[Backend]:
    """Return the backends whose libraries are installed."""
    return (*listen_claim.backends(), *speech_claim.backends())


@hookimpl
def claim_model(info: ModelInfo) -> list[Claim]:
    """Return the offers of every backend whose libraries are installed."""
    return [*listen_claim.claims(info), *speech_claim.claims(info)]


@hookimpl
def expand_name(ref: ModelRef) -> str | None:
    """Return the repository of a model that is known by a short name."""
    return listen_claim.expand_name(ref) or speech_claim.expand_name(ref)
