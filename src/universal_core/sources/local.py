"""Models in a folder or a file of this machine, named by path."""

from pathlib import Path

from universal_core.errors import ModelNotFound
from universal_core.hookspecs import hookimpl
from universal_core.models import ModelFile, ModelInfo, ModelRef
from universal_core.sources.documents import describe_folder

MARKS = ("config.json", "model_index.json", "modules.json", "*.gguf", "*.safetensors")
"""A folder with one of these is a model."""


@hookimpl
def find_model(ref: ModelRef) -> ModelInfo | None:
    """Find a model by a path; what merely looks like ``org/name`` is a path only where such a model folder exists."""
    # What looks like a variant or a revision may be part of a file's name.
    whole = Path(ref.text.strip()).expanduser()
    path = whole if whole.exists() else Path(ref.name).expanduser()
    name = ref.text if ref.is_path else ref.name
    if path.is_dir() and any(next(path.glob(mark), None) for mark in MARKS):
        return describe_folder(path.resolve(), id=name, ref=ref, source="local folder")
    if path.is_file() and path.suffix in (".gguf", ".safetensors"):
        size = path.stat().st_size
        return ModelInfo(
            id=name,
            ref=ref,
            source="local file",
            path=str(path.resolve()),
            files=(ModelFile(path.name, size),),
            created=int(path.stat().st_mtime),
        )
    if ref.is_path:
        raise ModelNotFound(
            f"{ref.name} is not a model on this machine: expected a .gguf or .safetensors file, "
            "or a folder with config.json, model_index.json or modules.json",
            param="model",
        )
    return None
