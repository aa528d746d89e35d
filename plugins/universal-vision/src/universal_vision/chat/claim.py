"""Which models the ``vision-chat`` backend offers to run, told from config.json and the list of files alone."""

from universal_core import CHAT_FIELDS, SAMPLING_FIELDS, Backend, Claim, ModelInfo
from universal_text.claims import ADAPTER_FIELDS, COMPLETE_FIELDS, is_causal
from universal_text.tables import class_in
from universal_vision.captions.claim import MODEL_TYPES as CAPTIONERS
from universal_vision.chat.options import ChatOptions
from universal_vision.claiming import PRELOAD, offer

BACKEND = Backend(
    name="vision-chat",
    model="universal_vision.chat.model:VisionChatModel",
    tasks=("chat", "complete", "tokenize", "detokenize", "caption", "answer_question"),
    options=ChatOptions,
    preload=PRELOAD,
    engine="pytorch",
)

# What transformers lists beside the others and what does not write an answer token by token after what it has read:
# encoder-decoders, those with a generate() of their own, and those that answer in other things than words.
_OTHER_KINDS = frozenset(
    {
        *("pp_formulanet", "t5gemma2", "udop"),
        *("diffusion_gemma", "idefics", "instructblipvideo", "janus", "kosmos-2", "kosmos-2.5"),
        *("evolla", "pi0"),
    }
)


def claim(info: ModelInfo) -> Claim | None:
    """Return an offer for a chat model that sees, None for anything else."""
    architecture = class_in(info, "MODEL_FOR_IMAGE_TEXT_TO_TEXT")
    if architecture is None or info.config.get("model_type") in _OTHER_KINDS.union(CAPTIONERS):
        return None
    # Some classes of models that only read are listed for those of their weights that see, too.
    if is_causal(architecture) and not _has_processor(info):
        return None
    return offer(
        info,
        BACKEND,
        tasks=BACKEND.tasks,
        reason=f"config.json names {architecture}, which reads pictures and text, and its weights are safetensors",
        slots=ChatOptions().slots,
        fields=SAMPLING_FIELDS + CHAT_FIELDS + COMPLETE_FIELDS + ADAPTER_FIELDS + ("images", "prompt"),
        rank=60,
    )


def _has_processor(info: ModelInfo) -> bool:
    return any(file.name in ("preprocessor_config.json", "processor_config.json") for file in info.files)
