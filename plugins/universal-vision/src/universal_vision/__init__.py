"""Models that look at images, through transformers, as a plugin of Universal Runtime."""

from collections.abc import Callable, Iterable
from typing import Any

from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, hookimpl
from universal_vision import estimates
from universal_vision.captions import claim as captions
from universal_vision.chat import claim as chat
from universal_vision.encoders import claim as encoders
from universal_vision.regions import claim as regions

API_VERSION = 1

__all__ = ["API_VERSION", "claim_model", "estimate_memory", "register_backends"]

_FAMILIES = (encoders, regions, captions, chat)
_ESTIMATES: dict[str, Callable[[ModelInfo, Any, str], MemoryEstimate]] = {
    encoders.BACKEND.name: estimates.estimate_encoder,
    regions.BACKEND.name: estimates.estimate_regions,
    captions.BACKEND.name: estimates.estimate_captions,
    chat.BACKEND.name: estimates.estimate_chat,
}


@hookimpl
def register_backends() -> Iterable[Backend]:
    """Return one backend for each way of looking at images."""
    return tuple(family.BACKEND for family in _FAMILIES)


@hookimpl
def claim_model(info: ModelInfo) -> list[Claim]:
    """Return the offers of all backends."""
    return [offer for family in _FAMILIES if (offer := family.claim(info))]


@hookimpl
def estimate_memory(info: ModelInfo, claim: Claim, options: Any, device: str) -> MemoryEstimate | None:
    """Return what a model of one of these backends takes."""
    estimate = _ESTIMATES.get(claim.backend)
    return estimate(info, options, device) if estimate else None
