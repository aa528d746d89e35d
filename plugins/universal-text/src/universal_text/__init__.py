"""Language models, text encoders and classifiers through PyTorch and transformers, as a plugin of Universal Runtime."""

from collections.abc import Iterable
from typing import Any

from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, ModelRef, hookimpl
from universal_text import claims
from universal_text.classifier import claim as classifier
from universal_text.encoder import claim as encoder
from universal_text.estimates import estimate_causal, estimate_reading
from universal_text.starter_model import STARTER, starter_info

API_VERSION = 1

__all__ = ["API_VERSION", "STARTER", "claim_model", "estimate_memory", "find_model", "list_models", "register_backends"]

_READING = (encoder.BACKEND.name, *(backend.name for backend in classifier.BACKENDS))


@hookimpl
def register_backends() -> Iterable[Backend]:
    """Return the backends that write text, turn it into vectors, and label it or the words in it."""
    return (claims.BACKEND, encoder.BACKEND, *classifier.BACKENDS)


@hookimpl
def claim_model(info: ModelInfo) -> list[Claim]:
    """Return the offers of all backends; a decoder made into an encoder has two, and the encoder's ranks higher."""
    families = (classifier.claim_classifier, encoder.claim_encoder, claims.claim_causal)
    return [offer for family in families if (offer := family(info))]


@hookimpl
def estimate_memory(info: ModelInfo, claim: Claim, options: Any, device: str) -> MemoryEstimate | None:
    """Return what a model of one of these backends takes."""
    if claim.backend == claims.BACKEND.name:
        return estimate_causal(info, options, device)
    if claim.backend in _READING:
        names = [name for name in claim.files if name.endswith(".safetensors") and "*" not in name]
        return estimate_reading(info, names, options, device)
    return None


@hookimpl
def find_model(ref: ModelRef) -> ModelInfo | None:
    """Return the starter model, which comes with this package."""
    return starter_info(ref) if ref.name.lower() == STARTER else None


@hookimpl
def list_models() -> Iterable[ModelInfo]:
    """Return the starter model."""
    found = starter_info(ModelRef.parse(STARTER))
    return (found,) if found else ()
