"""Which models the ``vision`` backend offers to run, told from config.json and the list of files alone."""

from typing import Any

from universal_core import Backend, Claim, ModelInfo
from universal_text.files import number_in
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

# The larger of the two defaults of batch_size, that of a GPU.
_BATCH = 32
# Of the first layer of networks of convolutions, where their maps are largest.
_FEW_CHANNELS = 128


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
        working=working_bytes(info.config),
        slots=EncoderOptions().slots,
        fields=("dimensions", "normalize"),
        rank=_RANKS[kind],
    )


def working_bytes(config: dict[str, Any]) -> int:
    """Estimate what a batch of 32 pictures takes beside the weights, in float32: the pictures, and one layer's values.

    A layer keeps its input, query, key, value, context and output (six times hidden_size), and the feed-forward
    values before and after their activation (twice intermediate_size), for each patch.
    """
    inner = config.get("vision_config")
    vision = inner if isinstance(inner, dict) else config
    side = number_in(vision, "image_size") or 224
    patch = number_in(vision, "patch_size") or 16
    width = number_in(vision, "hidden_size", "embed_dim") or _FEW_CHANNELS
    wide = number_in(vision, "intermediate_size") or 4 * width
    return _BATCH * 4 * (3 * side * side + (side // patch) ** 2 * (6 * width + 2 * wide))
