"""Which models this plugin offers to run: told from a file's header, or from what the hub says of a repository."""

import glob
from typing import Any

import msgspec

from universal_core import CHAT_FIELDS, SAMPLING_FIELDS, Backend, Claim, LoadFailed, ModelInfo
from universal_gguf.architectures import kind_by_tag, kind_of
from universal_gguf.header import Header, read_header
from universal_gguf.options import PRELOAD, GenerationOptions, PooledOptions
from universal_gguf.quantization import Choice, choose, path_of, variants_of

GENERATION = Backend(
    name="gguf",
    model="universal_gguf.generation.model:GenerationModel",
    tasks=("chat", "complete", "tokenize", "detokenize"),
    options=GenerationOptions,
    preload=PRELOAD,
    engine="llama.cpp",
    # llama.cpp shares the layers out by what each has free.
    spread={"device": "cuda", "split_mode": "layer"},
)
POOLED = Backend(
    name="gguf-embeddings",
    model="universal_gguf.pooled.model:PooledModel",
    tasks=("embed", "rerank", "tokenize", "detokenize"),
    options=PooledOptions,
    preload=PRELOAD,
    engine="llama.cpp",
)

GENERATION_FIELDS = (*SAMPLING_FIELDS, *CHAT_FIELDS, "adapter", "echo", "suffix")
POOLED_FIELDS = ("dimensions", "normalize")
POOLED_SLOTS = 64
RANK = 80


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model before it is loaded: what it is for, and in words what that was told from."""

    kind: str
    words: str
    sees: bool = False
    hears: bool = False


def claim_gguf(info: ModelInfo) -> Claim | None:
    """Return an offer for a GGUF model of text, None for anything else.

    Raises ModelNotFound where the repository has GGUF models, but not the quantization that was asked for.
    """
    choice = choose(info)
    if choice is None:
        return None
    try:
        header = read_header(path_of(info, choice.first)) if info.path is not None else None
        facts = _from_header(info, choice, header) if header else _from_hub(info, choice)
    except LoadFailed as error:
        # Claimed all the same: whoever loads it is told what is wrong, and listing models goes on.
        facts = Facts(kind="generate", words=f"its header is unreadable, so that loading will fail ({error.message})")
    return _claim(info, choice, facts) if facts else None


def _from_header(info: ModelInfo, choice: Choice, header: Header) -> Facts | None:
    kind = kind_of(header.architecture, header.pooling_type)
    if (
        kind is None
        or not header.has_tokenizer
        or header.is_vocabulary_only
        or header.text("general.type") == "adapter"
    ):
        return None
    words = f"its header names the architecture {header.architecture}"
    if header.pooling_type:
        words += f" with {header.pooling_type} pooling"
    if choice.projector is None or kind != "generate":
        return Facts(kind=kind, words=words)
    projector = read_header(path_of(info, choice.projector))
    return Facts(kind=kind, words=words, sees=projector.sees, hears=projector.hears)


def _from_hub(info: ModelInfo, choice: Choice) -> Facts | None:
    told = info.documents.get("hub")
    told = told if isinstance(told, dict) else {}
    gguf: dict[str, Any] = told["gguf"] if isinstance(told.get("gguf"), dict) else {}
    architecture, tag = str(gguf.get("architecture") or ""), told.get("pipeline_tag")
    by_tag = kind_by_tag(tag)
    by_name = kind_of(architecture, None)
    if by_tag is None or by_name is None:
        return None
    kind = by_tag if by_tag != "generate" else by_name
    words = f"the hub names the architecture {architecture}" if architecture else "its name ends in .gguf"
    # What a projector takes stands in its header, which is not here; images are what nearly all of them take.
    return Facts(kind=kind, words=words, sees=choice.projector is not None and kind == "generate")


def _claim(info: ModelInfo, choice: Choice, facts: Facts) -> Claim:
    backend, tasks, fields, slots = _offer(facts)
    projector = choice.projector if backend is GENERATION else None
    files = (*choice.files, *((projector,) if projector else ()))
    return Claim(
        backend=backend.name,
        tasks=tasks,
        rank=RANK,
        reason=_reason(choice, facts, projector),
        slots=slots,
        fields=fields,
        files=tuple(glob.escape(name) for name in files),
        variants=variants_of(info),
    )


def _offer(facts: Facts) -> tuple[Backend, tuple[str, ...], tuple[str, ...], int]:
    if facts.kind == "generate":
        media = (*(("images",) if facts.sees else ()), *(("audio",) if facts.hears else ()))
        return GENERATION, GENERATION.tasks, (*GENERATION_FIELDS, *media), GenerationOptions().slots
    tasks = ("embed" if facts.kind == "embed" else "rerank", "tokenize", "detokenize")
    return POOLED, tasks, POOLED_FIELDS if facts.kind == "embed" else (), POOLED_SLOTS


def _reason(choice: Choice, facts: Facts, projector: str | None) -> str:
    parts = f" and {len(choice.files) - 1} more" if len(choice.files) > 1 else ""
    beside = f" with {projector}" if projector else ""
    others = f"; of {choice.quantization} it also has {', '.join(choice.others[:3])}" if choice.others else ""
    return (
        f"{choice.first}{parts}{beside} is a GGUF file ({choice.quantization or 'quantization not named'}), "
        f"{facts.words}; llama.cpp runs it as it is, and nothing else here does{others}"
    )
