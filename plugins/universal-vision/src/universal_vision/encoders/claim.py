"""Which models the ``vision`` backend offers to run, told from config.json and the list of files alone."""

from universal_core import Backend, Claim, ModelInfo
from universal_vision.encoders.options import EncoderOptions

BACKEND = Backend(
    name="vision",
    model="universal_vision.encoders.model:EncoderModel",
    tasks=("classify_image", "match_labels", "embed_image", "embed"),
    options=EncoderOptions,
    engine="pytorch",
)


def claim(info: ModelInfo) -> Claim | None:
    """Return an offer for a model of this kind, None for anything else."""
    return None
