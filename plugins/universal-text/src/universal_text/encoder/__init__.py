"""Text embeddings: encoders, and decoders that were trained to embed."""

from universal_text.encoder.claim import BACKEND, claim_encoder
from universal_text.encoder.options import EncoderOptions

__all__ = ["BACKEND", "EncoderOptions", "claim_encoder"]
