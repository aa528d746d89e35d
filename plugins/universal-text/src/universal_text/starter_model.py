"""The very small model that this package carries, as a source describes one."""

from pathlib import Path
from typing import Any

import msgspec

from universal_core import ModelFile, ModelInfo, ModelRef

STARTER = "universal/starter"
FOLDER = Path(__file__).parent / "starter"
_DOCUMENTS = ("config.json", "generation_config.json", "tokenizer_config.json")


def starter_info(ref: ModelRef) -> ModelInfo | None:
    """Return what is known of the starter model, None in a build of this package that left it out."""
    if not (FOLDER / "config.json").is_file():
        return None
    files = sorted(path for path in FOLDER.iterdir() if path.is_file())
    return ModelInfo(
        id=STARTER,
        ref=ref,
        source="universal-text",
        path=str(FOLDER),
        files=tuple(ModelFile(path.name, path.stat().st_size) for path in files),
        documents=_documents(),
        created=int((FOLDER / "config.json").stat().st_mtime),
    )


def _documents() -> dict[str, Any]:
    paths = [FOLDER / name for name in _DOCUMENTS]
    return {path.name: msgspec.json.decode(path.read_bytes()) for path in paths if path.is_file()}
