"""What the claims of all backends have in common: a model's class, its files, and the memory that it takes."""

from collections.abc import Sequence

from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, names_in_mapping
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

_TABLES = "transformers.models.auto.modeling_auto"
_PROCESSORS = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
_LIBRARIES = 256 * 2**20


def class_in(info: ModelInfo, *tables: str) -> str | None:
    """Return the class in config.json that one of transformers' tables of automatic classes has, None for none.

    A table is named by what stands before ``_MAPPING_NAMES``, such as ``MODEL_FOR_IMAGE_CLASSIFICATION``.
    """
    known = {name for table in tables for names in _table(table).values() for name in names}
    return next((name for name in info.architectures if name in known), None)


def type_in(info: ModelInfo, *tables: str) -> bool:
    """Say whether the ``model_type`` in config.json is one that one of these tables has a class for."""
    return any(info.config.get("model_type") in _table(table) for table in tables)


def offer(
    info: ModelInfo,
    backend: Backend,
    *,
    tasks: Sequence[str],
    reason: str,
    working: int = 0,
    slots: int = 1,
    fields: Sequence[str] = (),
    rank: int = 50,
) -> Claim | None:
    """Return an offer for a model in safetensors, None where it has no complete set of them.

    The estimate is the size of the weights, and ``working`` bytes with 256 MiB for the libraries beside them.
    """
    weights = weight_files(info)
    if not weights:
        return None
    sizes = {file.name: file.size for file in info.files}
    beside = tuple(name for name in _PROCESSORS if name in sizes)
    return Claim(
        backend=backend.name,
        tasks=tuple(tasks),
        rank=rank,
        reason=reason,
        memory=MemoryEstimate(weights=sum(sizes[name] for name in weights), working=working + _LIBRARIES),
        slots=slots,
        fields=tuple(fields),
        files=(*weights, *files_beside(info), *beside),
    )


def _table(name: str) -> dict[str, tuple[str, ...]]:
    return names_in_mapping(_TABLES, f"{name}_MAPPING_NAMES")
