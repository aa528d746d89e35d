"""GGUF models through llama.cpp, as a plugin of Universal Runtime."""

from collections.abc import Iterable
from typing import Any

from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, hookimpl
from universal_gguf import claims, estimate

API_VERSION = 1

__all__ = ["API_VERSION", "claim_model", "estimate_memory", "register_backends"]

_OURS = (claims.GENERATION.name, claims.POOLED.name)


@hookimpl
def register_backends() -> Iterable[Backend]:
    """Return the backend that writes text, and the one that turns text into vectors and scores."""
    return (claims.GENERATION, claims.POOLED)


@hookimpl
def claim_model(info: ModelInfo) -> Claim | None:
    """Return an offer for a GGUF model, from whichever backend runs it."""
    return claims.claim_gguf(info)


@hookimpl
def estimate_memory(info: ModelInfo, claim: Claim, options: Any, device: str) -> MemoryEstimate | None:
    """Return what a GGUF model takes with these options."""
    return estimate.estimate(info, claim, options, device) if claim.backend in _OURS else None
