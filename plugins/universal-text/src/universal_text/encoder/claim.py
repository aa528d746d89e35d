"""Which models can be embedded with, judged by their files and config.json alone."""

from typing import Any

from universal_core import Backend, Claim, ModelInfo
from universal_text.documents import kinds_of, modules_of
from universal_text.encoder.options import EncoderOptions
from universal_text.files import files_beside, weight_files
from universal_text.options import PRELOAD

BACKEND = Backend(
    name="text-embeddings",
    model="universal_text.encoder.model:EncoderModel",
    tasks=("embed", "tokenize", "detokenize"),
    options=EncoderOptions,
    preload=PRELOAD,
    engine="pytorch",
)

_ENCODERS = frozenset(
    {
        "albert",
        "bert",
        "big_bird",
        "camembert",
        "convbert",
        "data2vec-text",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "ernie",
        "eurobert",
        "gte",
        "ibert",
        "longformer",
        "luke",
        "megatron-bert",
        "mobilebert",
        "modernbert",
        "mpnet",
        "nomic_bert",
        "nystromformer",
        "rembert",
        "roberta",
        "roberta-prelayernorm",
        "roformer",
        "squeezebert",
        "xlm-roberta",
        "xlm-roberta-xl",
    }
)
_BARE = ("Model", "ForMaskedLM", "ForPreTraining")
_LAYOUT = ("modules.json", "sentence_*_config.json", "config_sentence_transformers.json")

# Many requests may wait in the worker: they are the next batch.
_SLOTS = 64


def claim_encoder(info: ModelInfo) -> Claim | None:
    """Offer to run a sentence-transformers layout, or a bare BERT-like encoder, in safetensors."""
    modules = modules_of(info)
    if modules:
        return _claim_layout(info, modules)
    return _claim_bare(info) if info.config.get("model_type") in _ENCODERS else None


def _claim_layout(info: ModelInfo, modules: list[dict[str, Any]]) -> Claim | None:
    kinds = kinds_of(modules)
    if kinds[0] != "Transformer" or "LogitScore" in kinds or not _embeds(info):
        return None
    over = " over " + info.architectures[0] if info.architectures else ""
    reason = (
        f"modules.json is a sentence-transformers layout, {' + '.join(kinds)}{over}, and its weights are safetensors"
    )
    return _claim(info, 60, reason, _inside(modules[0]), (*_LAYOUT, *_module_files(info, modules[1:])))


def _claim_bare(info: ModelInfo) -> Claim | None:
    name = next((name for name in info.architectures if name.endswith(_BARE) and "LMHead" not in name), None)
    reason = (
        f"config.json names the encoder {name}, its weights are safetensors, and without a modules.json "
        "the mean of its token vectors is taken"
    )
    return _claim(info, 40, reason, "", ()) if name else None


def _claim(info: ModelInfo, rank: int, reason: str, folder: str, files: tuple[str, ...]) -> Claim | None:
    weights = weight_files(info, folder)
    if not weights:
        return None
    return Claim(
        backend=BACKEND.name,
        tasks=BACKEND.tasks,
        rank=rank,
        reason=reason,
        slots=_SLOTS,
        fields=("dimensions", "normalize", "prompt_name"),
        files=(*weights, *files_beside(info, folder), *files),
    )


def _embeds(info: ModelInfo) -> bool:
    """Tell embedding models from the rerankers and sparse encoders that are kept in the same layout."""
    settings = info.documents.get("config_sentence_transformers.json")
    kind = settings.get("model_type") if isinstance(settings, dict) else None
    classifies = any(name.endswith("ForSequenceClassification") for name in info.architectures)
    return kind in (None, "SentenceTransformer") and not classifies


def _inside(module: dict[str, Any]) -> str:
    """Return the prefix of a module's files: empty for the model's own folder, else ending in a slash."""
    path = str(module.get("path") or "").strip("/")
    return path + "/" if path else ""


def _module_files(info: ModelInfo, modules: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the files of the modules behind the transformer; pickled weights only where there are no others."""
    wanted: list[str] = []
    for folder in filter(None, map(_inside, modules)):
        safe = info.matching(folder + "model.safetensors")
        wanted += [folder + "config.json", folder + ("model.safetensors" if safe else "pytorch_model.bin")]
    return tuple(wanted)
