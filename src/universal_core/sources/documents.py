"""The small JSON files that tell what a model is, and how a folder is read into a ModelInfo."""

import re
from pathlib import Path
from typing import Any

import msgspec

from universal_core.models import ModelFile, ModelInfo, ModelRef

DOCUMENTS = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "model_index.json",
    "preprocessor_config.json",
    "adapter_config.json",
    "unet/config.json",
    "transformer/config.json",
    "vae/config.json",
)
"""Read whenever they are there: all that a claim may look at. Those in folders are of a pipeline's components."""

DOCUMENT_LIMIT = 16 * 1024 * 1024
_LARGEST = 2**63
_SKIPPED = re.compile(r"(^|/)\.")


def read_document(path: Path) -> Any:
    """Return a JSON file's content, None where it is not readable JSON of a sane size."""
    try:
        if path.stat().st_size > DOCUMENT_LIMIT:
            return None
        return _portable(msgspec.json.decode(path.read_bytes()))
    except (OSError, msgspec.DecodeError):
        return None


def _portable(value: Any) -> Any:
    """Return a value that can cross to a worker: integers beyond 64 bits, which mean no limit, become floats."""
    if isinstance(value, dict):
        return {key: _portable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_portable(inner) for inner in value]
    return float(value) if isinstance(value, int) and not -_LARGEST <= value < _LARGEST else value


def describe_folder(folder: Path, *, id: str, ref: ModelRef, source: str, revision: str | None = None) -> ModelInfo:
    """Return what a model's folder holds; hidden files are left out."""
    files = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not _SKIPPED.search(name) and path.is_file():
            files.append(ModelFile(name, path.stat().st_size))
    present = {file.name for file in files}
    documents = {name: read_document(folder / name) for name in DOCUMENTS if name in present}
    return ModelInfo(
        id=id,
        ref=ref,
        source=source,
        path=str(folder),
        revision=revision,
        files=tuple(files),
        documents={name: document for name, document in documents.items() if document is not None},
        created=int(folder.stat().st_mtime),
    )
