"""Images from text, from images, and inpainting through diffusers, as a plugin of Universal Runtime."""

import logging
from collections.abc import Iterable
from typing import Any

from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, hookimpl
from universal_diffusion import claims, planning

API_VERSION = 1

# When diffusers is imported, transformers remarks that its processors do without torchvision, which no pipeline needs.
logging.getLogger("transformers.utils.import_utils").setLevel(logging.ERROR)

__all__ = ["API_VERSION", "claim_model", "estimate_memory", "register_backends"]


@hookimpl
def register_backends() -> Iterable[Backend]:
    """Return the backend that makes images."""
    return (claims.BACKEND,)


@hookimpl
def claim_model(info: ModelInfo) -> Claim | None:
    """Return an offer for a pipeline that diffusers knows for one of its tasks."""
    return claims.claim(info)


@hookimpl
def estimate_memory(info: ModelInfo, claim: Claim, options: Any, device: str) -> MemoryEstimate | None:
    """Return what a pipeline takes with these options."""
    return planning.estimate(info, options, device) if claim.backend == claims.BACKEND.name else None
