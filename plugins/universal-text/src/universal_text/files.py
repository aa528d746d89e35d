"""Which files of a model are read, told from their names, and numbers out of its config.json."""

import re
from fnmatch import fnmatchcase
from typing import Any

from universal_core import ModelInfo

_WEIGHTS = re.compile(r"^model(-\d+-of-\d+)?\.safetensors$")
_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_BESIDE_WEIGHTS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece*.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tekken.json",
    "*.tiktoken",
    "chat_template.jinja",
    "chat_template.json",
)


def weight_files(info: ModelInfo, folder: str = "") -> tuple[str, ...]:
    """Return the safetensors that transformers would load from a folder, none where it has no complete set.

    That is model.safetensors, or else its parts and their index. Copies of the same weights in other formats, under
    other names or in subfolders are left out. ``folder`` is empty or ends in a slash.
    """
    names = _names_in(info, folder)
    if _WHOLE in names:
        return (folder + _WHOLE,)
    parts = sorted(name for name in names if _WEIGHTS.match(name))
    return (folder + _INDEX, *(folder + part for part in parts)) if parts and _INDEX in names else ()


def files_beside(info: ModelInfo, folder: str = "") -> tuple[str, ...]:
    """Return configuration and tokenizer in a folder, and the model's own code where it has any."""
    wanted = _BESIDE_WEIGHTS + (("*.py",) if info.config.get("auto_map") else ())
    names = sorted(_names_in(info, folder))
    return tuple(folder + name for name in names if any(fnmatchcase(name, pattern) for pattern in wanted))


def number_in(config: dict[str, Any], *names: str) -> int:
    """Return the first of these settings that is a positive number, else 0; the families name them differently."""
    found = (config.get(name) for name in names)
    return next((value for value in found if isinstance(value, int) and value > 0), 0)


def _names_in(info: ModelInfo, folder: str) -> set[str]:
    inside = (file.name.removeprefix(folder) for file in info.files if file.name.startswith(folder))
    return {name for name in inside if "/" not in name}
