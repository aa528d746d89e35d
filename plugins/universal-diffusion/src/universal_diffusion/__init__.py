"""Images from text, from images, and inpainting through diffusers, as a plugin of Universal Runtime."""

from collections.abc import Iterable

from universal_core import Backend, Claim, ModelInfo, hookimpl
from universal_diffusion import claims

API_VERSION = 1

__all__ = ["API_VERSION", "claim_model", "register_backends"]


@hookimpl
def register_backends() -> Iterable[Backend]:
    """Return the backend that makes images."""
    return (claims.BACKEND,)


@hookimpl
def claim_model(info: ModelInfo) -> Claim | None:
    """Return an offer for a pipeline that diffusers knows for one of its tasks."""
    return claims.claim(info)
