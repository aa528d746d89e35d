"""Language models and text encoders through PyTorch and transformers, as a plugin of Universal Runtime."""

from collections.abc import Iterable

from universal_core import Backend, Claim, ModelInfo, ModelRef, hookimpl
from universal_text import claims
from universal_text.encoder import claim as encoder
from universal_text.starter_model import STARTER, starter_info

API_VERSION = 1

__all__ = ["API_VERSION", "STARTER", "claim_model", "find_model", "list_models", "register_backends"]


@hookimpl
def register_backends() -> Iterable[Backend]:
    """Return the backend that writes text and the one that turns text into vectors."""
    return (claims.BACKEND, encoder.BACKEND)


@hookimpl
def claim_model(info: ModelInfo) -> list[Claim]:
    """Return the offers of both backends; a decoder made into an encoder has both, and the encoder's ranks higher."""
    return [offer for offer in (encoder.claim_encoder(info), claims.claim_causal(info)) if offer]


@hookimpl
def find_model(ref: ModelRef) -> ModelInfo | None:
    """Return the starter model, which comes with this package."""
    return starter_info(ref) if ref.name.lower() == STARTER else None


@hookimpl
def list_models() -> Iterable[ModelInfo]:
    """Return the starter model."""
    found = starter_info(ModelRef.parse(STARTER))
    return (found,) if found else ()
