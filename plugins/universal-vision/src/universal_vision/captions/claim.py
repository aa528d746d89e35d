"""Which models the ``vision-captions`` backend offers to run, told from config.json and the list of files alone."""

from universal_core import Backend, Claim, ModelInfo
from universal_vision.captions.options import CaptionOptions

BACKEND = Backend(
    name="vision-captions",
    model="universal_vision.captions.model:CaptionModel",
    tasks=("caption", "answer_question"),
    options=CaptionOptions,
    engine="pytorch",
)


def claim(info: ModelInfo) -> Claim | None:
    """Return an offer for a model of this kind, None for anything else."""
    return None
