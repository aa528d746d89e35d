"""What the claims of all backends have in common: a model's files, and what it lacks."""

from collections.abc import Sequence
from importlib.util import find_spec

from universal_core import Backend, Claim, ModelInfo
from universal_text.files import files_beside, weight_files

PRELOAD = (
    "torch",
    "tokenizers",
    "transformers",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.processing_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.clip.modeling_clip",
    "transformers.models.llama.modeling_llama",
    "transformers.models.vit.modeling_vit",
    "universal_core.pictures",
    "universal_vision.loading",
)
"""What all backends preload: the same, so that one nursery, with one copy of PyTorch, forks the workers of all."""

_PROCESSORS = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")


def offer(
    info: ModelInfo,
    backend: Backend,
    *,
    tasks: Sequence[str],
    reason: str,
    slots: int = 1,
    fields: Sequence[str] = (),
    rank: int = 50,
) -> Claim | None:
    """Return an offer for a model in safetensors, None where it has no complete set of them.

    The reason says so where the model cannot be loaded because timm is not installed.
    """
    weights = weight_files(info)
    if not weights:
        return None
    names = {file.name for file in info.files}
    beside = tuple(name for name in _PROCESSORS if name in names)
    return Claim(
        backend=backend.name,
        tasks=tuple(tasks),
        rank=rank,
        reason=reason + _lacking(info),
        slots=slots,
        fields=tuple(fields),
        files=(*weights, *files_beside(info), *beside),
    )


def is_timm(info: ModelInfo) -> bool:
    """Say whether a folder was written by timm itself, as transformers tells it."""
    return "pretrained_cfg" in info.config and "model_type" not in info.config


def _lacking(info: ModelInfo) -> str:
    backbone = info.config.get("backbone_config")
    over_timm = isinstance(backbone, dict) and backbone.get("model_type") == "timm_backbone"
    if not (over_timm or info.config.get("use_timm_backbone") or is_timm(info)) or find_spec("timm"):
        return ""
    return "; it needs timm, which is not installed: pip install timm"
