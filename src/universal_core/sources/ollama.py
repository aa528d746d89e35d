"""Ollama's store on this machine: manifests, which name the files (blobs) that a model is made of."""

import re
from pathlib import Path
from typing import Any

import msgspec

from universal_core.errors import BadRequest, ModelNotFound
from universal_core.models import ModelFile, ModelInfo, ModelRef
from universal_core.sources.documents import on_disk, read_document

_KIND = "application/vnd.ollama.image."
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_FILE_TYPE = re.compile(r"\w{1,16}")


class _Layer(msgspec.Struct, frozen=True):
    digest: str = ""
    kind: str = msgspec.field(default="", name="mediaType")


class _Manifest(msgspec.Struct, frozen=True):
    layers: tuple[_Layer, ...]
    config: _Layer = _Layer()

    def digest(self, kind: str) -> str | None:
        """Return the first layer of a kind, None where there is none."""
        return next((layer.digest for layer in self.layers if layer.kind == _KIND + kind), None)


def describe_manifest(path: Path, *, id: str, ref: ModelRef) -> ModelInfo | None:
    """Return the model that a manifest describes, None for a file that is no manifest of Ollama's.

    Its files are the model and its projector. Raises ModelNotFound where a blob is missing, BadRequest for a model
    that is more than that.
    """
    folder = next((parent.parent / "blobs" for parent in path.parents if parent.name == "manifests"), None)
    manifest = _manifest(read_document(path)) if folder is not None else None
    if folder is None or manifest is None:
        return None
    if manifest.digest("adapter") is not None:
        raise BadRequest(
            f"{path.name} is a model with an adapter: name the model's own path, and the adapter's blob in the option "
            "adapters",
            param="model",
        )
    stem = f"{path.parent.name}-{path.name}"
    blobs = {f"{stem}{_quantization(folder, manifest)}.gguf": _blob(folder, manifest.digest("model"), ref)}
    projector = manifest.digest("projector")
    if projector is not None:
        blobs[f"mmproj-{stem}.gguf"] = _blob(folder, projector, ref)
    found = {name: blob.stat() for name, blob in blobs.items()}
    return ModelInfo(
        id=id,
        ref=ref,
        source="Ollama's manifest",
        path=str(next(iter(blobs.values()))),
        files=tuple(ModelFile(name, status.st_size) for name, status in found.items()),
        created=int(path.stat().st_mtime),
        on_disk=on_disk(found.values()),
        places={name: str(blob) for name, blob in blobs.items()},
    )


def _manifest(document: Any) -> _Manifest | None:
    try:
        return msgspec.convert(document, _Manifest)
    except msgspec.ValidationError:
        return None


def _blob(folder: Path, digest: str | None, ref: ModelRef) -> Path:
    """Return where the blob of a digest is. Raises ModelNotFound."""
    found = _DIGEST.fullmatch(digest or "")
    if found is None:
        raise ModelNotFound(
            f"{ref.name} is a manifest of Ollama's without a GGUF model: nothing else of Ollama's can be served",
            param="model",
        )
    blob = folder / f"sha256-{found[1]}"
    if not blob.is_file():
        raise ModelNotFound(
            f"{ref.name} is a manifest of Ollama's whose file blobs/{blob.name} is not there: `ollama pull` fetches it",
            param="model",
        )
    return blob


def _quantization(folder: Path, manifest: _Manifest) -> str:
    """Return the ending of a file's name that tells the quantization, empty where Ollama does not know it."""
    found = _DIGEST.fullmatch(manifest.config.digest)
    document = read_document(folder / f"sha256-{found[1]}") if found else None
    kind = document.get("file_type") if isinstance(document, dict) else None
    return f"-{kind}" if isinstance(kind, str) and _FILE_TYPE.fullmatch(kind) else ""
