"""Models in a folder or a file of this machine, named by path."""

from pathlib import Path

from universal_core.errors import Forbidden, ModelNotFound
from universal_core.hookspecs import hookimpl
from universal_core.models import ModelFile, ModelInfo, ModelRef
from universal_core.reading import open_unnoticed
from universal_core.sources.documents import describe_folder, on_disk
from universal_core.sources.ollama import describe_manifest

MARKS = ("config.json", "model_index.json", "modules.json", "*.gguf", "*.safetensors")
"""A folder with one of these is a model."""

FILES = (".gguf", ".safetensors")
"""A file that ends so is a model."""

_GGUF = b"GGUF"


@hookimpl
def find_model(ref: ModelRef) -> ModelInfo | None:
    """Find a model by a path; what merely looks like ``org/name`` is a path only where such a model folder exists."""
    # What looks like a variant or a revision may be part of a file's name.
    whole = Path(ref.text.strip()).expanduser()
    path = whole if whole.exists() else Path(ref.name).expanduser()
    found = describe(path, id=ref.text, ref=ref, source="local")
    if found is None and ref.is_path:
        raise ModelNotFound(
            f"{ref.name} is not a model on this machine: expected a .gguf or .safetensors file, "
            "or a folder with config.json, model_index.json or modules.json; of Ollama, one of its manifests or blobs",
            param="model",
        )
    return found


@hookimpl
def delete_model(ref: ModelRef, files: tuple[str, ...]) -> None:
    """Refuse to delete what is named by a path: it is no download, but somebody's own."""
    if find_model(ref) is None:
        return
    raise Forbidden(
        f"{ref.name} is a path, and only what was downloaded into the HuggingFace cache is deleted here: "
        "remove the files yourself",
        param="model",
    )


def describe(path: Path, *, id: str, ref: ModelRef, source: str) -> ModelInfo | None:
    """Return the model at a path, a folder or a file; None where there is none. ``source`` says whose it is."""
    if path.is_dir():
        found = is_model(path)
        return describe_folder(path.resolve(), id=id, ref=ref, source=f"{source} folder") if found else None
    if not path.is_file():
        return None
    if path.suffix in FILES or _is_gguf(path):
        return _describe_file(path.resolve(), id=id, ref=ref, source=f"{source} file")
    return describe_manifest(path.resolve(), id=id, ref=ref)


def is_model(folder: Path) -> bool:
    """Whether a folder has one of the marks of a model."""
    return any(next(folder.glob(mark), None) for mark in MARKS)


def _is_gguf(path: Path) -> bool:
    try:
        with open_unnoticed(path) as file:
            return file.read(len(_GGUF)) == _GGUF
    except OSError:
        return False


def _describe_file(path: Path, *, id: str, ref: ModelRef, source: str) -> ModelInfo:
    status = path.stat()
    # Backends tell GGUF files by their names, and Ollama's have no ending.
    name = path.name if path.suffix in FILES else f"{path.name}.gguf"
    return ModelInfo(
        id=id,
        ref=ref,
        source=source,
        path=str(path),
        files=(ModelFile(name, status.st_size),),
        created=int(status.st_mtime),
        on_disk=on_disk([status]),
        places={} if name == path.name else {name: str(path)},
    )
