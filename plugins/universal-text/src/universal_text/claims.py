"""Which models the causal backend offers to run, told from config.json and the list of files alone."""

from typing import Any

from universal_core import CHAT_FIELDS, SAMPLING_FIELDS, Backend, Claim, ModelInfo, names_in_mapping
from universal_text.files import files_beside, weight_files
from universal_text.options import PRELOAD, CausalOptions
from universal_text.quantization import SEVERAL_DEVICES, described
from universal_text.together import reason_alone

BACKEND = Backend(
    name="text",
    model="universal_text.causal.model:CausalModel",
    tasks=("chat", "complete", "tokenize", "detokenize"),
    options=CausalOptions,
    preload=PRELOAD,
    engine="pytorch",
    spread={} if SEVERAL_DEVICES.missing else {"device": "cuda", "device_map": "auto"},
)

ADAPTER_FIELDS = ("adapter",)
COMPLETE_FIELDS = ("echo", "suffix")

# transformers names nearly every causal model *ForCausalLM. These are the others of AutoModelForCausalLM that
# write text from left to right with a key-value cache; the remaining ones (BERT's and XLM's heads, XLNet,
# Reformer, OpenAI GPT) have no such cache or are no text generators. The list stands here because asking
# transformers itself would import torch into the HTTP process.
_OTHER_NAMES = ("GPT2LMHeadModel", "CTRLLMHeadModel")


def claim_causal(info: ModelInfo) -> Claim | None:
    """Return an offer for a causal language model in safetensors, None for anything else."""
    architecture = next((name for name in info.architectures if is_causal(name)), None)
    weights = weight_files(info)
    if architecture is None or not weights or _writes_of_pictures(info, architecture):
        return None
    return Claim(
        backend=BACKEND.name,
        tasks=BACKEND.tasks,
        rank=50,
        reason=f"config.json names the causal language model {architecture}, and its weights are safetensors"
        + described(info.config)
        + _company(info.config),
        slots=CausalOptions().slots,
        fields=SAMPLING_FIELDS + CHAT_FIELDS + COMPLETE_FIELDS + ADAPTER_FIELDS,
        files=(*weights, *files_beside(info)),
    )


def _company(config: dict[str, Any]) -> str:
    alone = reason_alone(config)
    return f"; its answers are computed one at a time: {alone}" if alone else "; its answers are computed together"


def _writes_of_pictures(info: ModelInfo, architecture: str) -> bool:
    """Whether a model is named like the others and was made to write about pictures alone, as GIT was."""
    known = names_in_mapping("transformers.models.auto.modeling_auto", "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES")
    return "vision_config" in info.config and any(architecture in names for names in known.values())


def is_causal(architecture: str) -> bool:
    """Say whether a class name of config.json is one of a model that continues text."""
    return architecture.endswith("ForCausalLM") or architecture in _OTHER_NAMES
