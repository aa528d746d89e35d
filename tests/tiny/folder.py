"""What a source would say of a model's folder."""

from pathlib import Path

import msgspec

from universal_core import ModelFile, ModelInfo, ModelRef


def info_of(path: Path) -> ModelInfo:
    """Describe a folder: every file with its size, and the JSON at its top and of its components parsed."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return ModelInfo(
        id=path.name,
        ref=ModelRef.parse(str(path)),
        source="test",
        path=str(path),
        files=tuple(ModelFile(file.relative_to(path).as_posix(), file.stat().st_size) for file in files),
        documents={
            file.relative_to(path).as_posix(): msgspec.json.decode(file.read_bytes())
            for pattern in ("*.json", "*/config.json")
            for file in path.glob(pattern)
        },
    )
