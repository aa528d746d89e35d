"""Which models the ``vision-chat`` backend offers to run, told from config.json and the list of files alone."""

from universal_core import Backend, Claim, ModelInfo
from universal_vision.chat.options import ChatOptions

BACKEND = Backend(
    name="vision-chat",
    model="universal_vision.chat.model:VisionChatModel",
    tasks=("chat", "complete", "tokenize", "detokenize", "caption", "answer_question"),
    options=ChatOptions,
    engine="pytorch",
)


def claim(info: ModelInfo) -> Claim | None:
    """Return an offer for a model of this kind, None for anything else."""
    return None
