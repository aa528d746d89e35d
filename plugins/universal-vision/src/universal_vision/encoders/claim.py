"""Which models the ``vision`` backend offers to run, told from config.json and the list of files alone."""

from universal_core import Backend, Claim, ModelInfo
from universal_vision.claiming import PRELOAD, offer
from universal_vision.encoders.kinds import Kind, embeds, kind_of
from universal_vision.encoders.options import EncoderOptions

BACKEND = Backend(
    name="vision",
    model="universal_vision.encoders.model:EncoderModel",
    tasks=("classify_image", "match_labels", "embed_image", "embed"),
    options=EncoderOptions,
    preload=PRELOAD,
    engine="pytorch",
)

_TASKS: dict[Kind, tuple[str, ...]] = {
    "classifier": ("classify_image",),
    "matcher": ("match_labels", "embed_image", "embed"),
    "extractor": ("embed_image",),
}
_WHAT: dict[Kind, str] = {
    "classifier": "the image classifier",
    "matcher": "the model of pictures and words",
    "extractor": "the image encoder",
}
# Above what offers to embed texts alone: such a model does that too.
_RANKS: dict[Kind, int] = {"classifier": 50, "matcher": 65, "extractor": 50}


def claim(info: ModelInfo) -> Claim | None:
    """Return an offer for a model of this kind, None for anything else."""
    found = kind_of(info)
    if found is None:
        return None
    kind, name = found
    vectors = ("embed_image",) if kind == "classifier" and embeds(info) and not name.startswith("TimmWrapper") else ()
    return offer(
        info,
        BACKEND,
        tasks=(*_TASKS[kind], *vectors),
        reason=f"config.json names {_WHAT[kind]} {name}, and its weights are safetensors",
        slots=EncoderOptions().slots,
        fields=("dimensions", "normalize"),
        rank=_RANKS[kind],
    )
