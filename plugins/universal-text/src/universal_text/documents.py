"""The files beside a model by which sentence-transformers knows how it is used."""

import json
from pathlib import Path
from typing import Any

from universal_core import LoadFailed, ModelInfo

SETTINGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""How the transformer is called; the file bears the name of one of several families."""


def read_document(path: Path) -> Any:
    """Return a parsed JSON file, an empty dict where there is none; raises LoadFailed for what is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise LoadFailed(f"{path} is not valid JSON: {error}.") from error


def read_settings(folder: Path) -> dict[str, Any]:
    """Return how the transformer in a folder is called."""
    return next((read for read in (read_document(folder / name) for name in SETTINGS) if read), {})


def modules_of(info: ModelInfo) -> list[dict[str, Any]]:
    """Return the modules that modules.json names, none where there is no such file."""
    found = info.documents.get("modules.json")
    return [module for module in found if isinstance(module, dict)] if isinstance(found, list) else []


def kinds_of(modules: list[dict[str, Any]]) -> list[str]:
    """Return the class name of each module; old and new packages use the same ones."""
    return [str(module.get("type", "")).rpartition(".")[2] for module in modules]
