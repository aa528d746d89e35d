"""The configured folder of models, ``models.dir``: each is called by its path in it."""

import re
from collections.abc import Iterator
from pathlib import Path

from universal_core.config import models_folder
from universal_core.errors import Forbidden
from universal_core.hookspecs import hookimpl
from universal_core.models import ModelInfo, ModelRef
from universal_core.sources.local import FILES, describe, is_model

DEPTH = 3
"""How many folders deep a model is looked for."""

_SOURCE = "models.dir"
_LATER_PART = re.compile(r"-(?!0*1-)\d{5}-of-\d{5}$")


@hookimpl
def list_models() -> Iterator[ModelInfo]:
    """Yield every model of the folder; a file of a model in several parts is listed once."""
    root = models_folder()
    if root is None or not root.is_dir():
        return
    for path in _models_in(root, DEPTH):
        place = path.relative_to(root)
        name = (place.with_suffix("") if path.is_file() else place).as_posix()
        found = describe(path, id=name, ref=ModelRef(text=name, name=name), source=_SOURCE)
        if found is not None:
            yield found


@hookimpl
def find_model(ref: ModelRef) -> ModelInfo | None:
    """Find a model by its path in the folder; a file's may leave out its ending."""
    root = models_folder()
    if root is None or ref.is_path:
        return None
    # A folder has one state, so that a name with a revision is another source's, unless a file is called so.
    names = (ref.text.strip(), *(() if ref.revision else (ref.name,)))
    for path in (path for name in names for path in _places(root, name)):
        found = describe(path, id=ref.text, ref=ref, source=_SOURCE)
        if found is not None:
            return found
    return None


@hookimpl
def delete_model(ref: ModelRef, files: tuple[str, ...]) -> None:
    """Refuse to delete what is in the folder: whoever put it there keeps it."""
    if find_model(ref) is None:
        return
    raise Forbidden(
        f"{ref.name} is in the folder models.dir, and only what was downloaded into the HuggingFace cache is deleted "
        "here: remove its files from that folder yourself",
        param="model",
    )


def _places(root: Path, name: str) -> Iterator[Path]:
    """Yield where a model of this name would be; nothing for a name that leads out of the folder."""
    parts = re.split(r"[/\\]", name)
    if len(parts) <= DEPTH and not any(part in ("", ".", "..") or part.startswith(".") for part in parts):
        path = root.joinpath(*parts)
        # A part with a drive letter would lead elsewhere.
        if path.is_relative_to(root):
            yield from (path, *(path.with_name(path.name + ending) for ending in FILES))


def _models_in(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the models below a folder; what is in a model's own folder is a part of it."""
    for path in sorted(folder.iterdir()):
        # A link to a folder above it would be gone through without end.
        if path.name.startswith(".") or folder.resolve().is_relative_to(path.resolve()):
            continue
        if path.is_dir() and is_model(path):
            yield path
        elif path.is_dir() and depth > 1:
            yield from _models_in(path, depth - 1)
        elif path.suffix in FILES and path.is_file() and not _LATER_PART.search(path.stem):
            yield path
