"""A store as Ollama keeps it: files under their digests, and manifests that name them."""

import hashlib
import json
from pathlib import Path

KIND = "application/vnd.ollama.image."


def store(root: Path, name: str, model: bytes, *, file_type: str | None = "Q4_K_M", **layers: bytes) -> Path:
    """Write a model's files and its manifest (``llama3/latest``); return the manifest."""
    told = {"model_format": "gguf", "model_family": "llama"} | ({"file_type": file_type} if file_type else {})
    config = json.dumps(told).encode()
    found = [_layer(root, KIND + kind, data) for kind, data in {"model": model, **layers}.items()]
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": _layer(root, "application/vnd.docker.container.image.v1+json", config),
        "layers": found,
    }
    path = root / "manifests" / "registry.ollama.ai" / "library" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest))
    return path


def blob_of(root: Path, data: bytes) -> Path:
    """Return where a file with this content is kept."""
    return root / "blobs" / f"sha256-{hashlib.sha256(data).hexdigest()}"


def _layer(root: Path, kind: str, data: bytes) -> dict[str, object]:
    path = blob_of(root, data)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"mediaType": kind, "digest": path.name.replace("-", ":", 1), "size": len(data)}
