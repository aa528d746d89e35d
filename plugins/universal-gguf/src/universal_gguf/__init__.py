"""GGUF models through llama.cpp, as a plugin of Universal Runtime."""

from collections.abc import Iterable

from universal_core import Backend, Claim, ModelInfo, hookimpl
from universal_gguf import claims

API_VERSION = 1

__all__ = ["API_VERSION", "claim_model", "register_backends"]


@hookimpl
def register_backends() -> Iterable[Backend]:
    """Return the backend that writes text, and the one that turns text into vectors and scores."""
    return (claims.GENERATION, claims.POOLED)


@hookimpl
def claim_model(info: ModelInfo) -> Claim | None:
    """Return an offer for a GGUF model, from whichever backend runs it."""
    return claims.claim_gguf(info)
