"""What the claims of all backends have in common: a model's class, its files, and the memory that it takes."""

from collections.abc import Sequence

from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, names_in_mapping
from universal_text.files import files_beside, weight_files

_TABLES = "transformers.models.auto.modeling_auto"
_PROCESSORS = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
_LIBRARIES = 256 * 2**20


def class_in(info: ModelInfo, *tables: str) -> str | None:
    """Return the class in config.json that one of transformers' tables of automatic classes has, None for none.

    A table is named by what stands before ``_MAPPING_NAMES``, such as ``MODEL_FOR_IMAGE_CLASSIFICATION``.
    """
    known = {
        name
        for table in tables
        for names in names_in_mapping(_TABLES, f"{table}_MAPPING_NAMES").values()
        for name in names
    }
    return next((name for name in info.architectures if name in known), None)


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
