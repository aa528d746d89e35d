"""Models that look at images, through transformers, as a plugin of Universal Runtime."""

from collections.abc import Iterable

from universal_core import Backend, Claim, ModelInfo, hookimpl
from universal_vision.captions import claim as captions
from universal_vision.chat import claim as chat
from universal_vision.encoders import claim as encoders
from universal_vision.regions import claim as regions

API_VERSION = 1

__all__ = ["API_VERSION", "claim_model", "register_backends"]

_FAMILIES = (encoders, regions, captions, chat)


@hookimpl
def register_backends() -> Iterable[Backend]:
    """Return one backend for each way of looking at images."""
    return tuple(family.BACKEND for family in _FAMILIES)


@hookimpl
def claim_model(info: ModelInfo) -> list[Claim]:
    """Return the offers of all backends."""
    return [offer for family in _FAMILIES if (offer := family.claim(info))]
