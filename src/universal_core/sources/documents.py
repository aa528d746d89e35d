"""The small JSON files that tell what a model is, and how a folder is read into a ModelInfo."""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from universal_core.models import ModelFile, ModelInfo, ModelRef, OnDisk
from universal_core.reading import open_unnoticed

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
_DIGITS = 20
_LONG = re.compile(rb"\d{19}")
_SKIPPED = re.compile(r"(^|/)\.")


def read_document(path: Path) -> Any:
    """Return a JSON file's content, None where it is not readable JSON of a sane size.

    Integers beyond 64 bits, which mean no limit, become floats: such integers cannot cross to a worker.
    """
    try:
        if path.stat().st_size > DOCUMENT_LIMIT:
            return None
        with open_unnoticed(path) as file:
            data = file.read()
        # Few documents have such integers, and the rest are read many times as fast.
        return json.loads(data, parse_int=_portable) if _LONG.search(data) else msgspec.json.decode(data)
    except (OSError, ValueError, msgspec.DecodeError):
        return None


def _portable(digits: str) -> int | float:
    value = int(digits) if len(digits) <= _DIGITS else float(digits)
    return value if -_LARGEST <= value < _LARGEST else float(value)


def describe_folder(folder: Path, *, id: str, ref: ModelRef, source: str, revision: str | None = None) -> ModelInfo:
    """Return what a model's folder holds; hidden files are left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not _SKIPPED.search(name) and path.is_file():
            found[name] = path.stat()
    documents = {name: read_document(folder / name) for name in DOCUMENTS if name in found}
    return ModelInfo(
        id=id,
        ref=ref,
        source=source,
        path=str(folder),
        revision=revision,
        files=tuple(ModelFile(name, status.st_size) for name, status in found.items()),
        documents={name: document for name, document in documents.items() if document is not None},
        created=int(folder.stat().st_mtime),
        on_disk=on_disk(found.values()),
    )


def on_disk(files: Iterable[os.stat_result]) -> OnDisk:
    """Return what files take together; several names of one file count once."""
    known = {(status.st_dev, status.st_ino): status for status in files}
    used = max((int(status.st_atime) for status in known.values()), default=0)
    return OnDisk(sum(status.st_size for status in known.values()), used)
