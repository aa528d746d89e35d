"""Whether a model's answers are computed together, as far as config.json and the installed transformers tell."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from universal_core import names_in_mapping

_KNOWN_LAYERS = frozenset(("full_attention", "sliding_attention"))
_ROPE_BY_LENGTH = frozenset(("dynamic", "longrope"))


def reason_alone(config: dict[str, Any]) -> str | None:
    """Return why a model's answers are computed one at a time, None where nothing is known against it.

    The last word has the check at load, which tries.
    """
    source = _source_of(str(config.get("model_type")))
    if "_is_stateful = True" in source:
        return "it has recurrent layers"
    if source and "_supports_attention_backend = True" not in source:
        return "it has an attention of its own"
    if others := sorted({*(config.get("layer_types") or ())} - _KNOWN_LAYERS):
        return f"it has layers of the kind {', '.join(others)}"
    if positions_by_length(config):
        return "its positions depend on how long a text is"
    return None


def positions_by_length(config: dict[str, Any]) -> bool:
    """Whether a model's positions depend on the longest text at hand: then they would on the neighbours of a text."""
    told = config.get("rope_parameters") or config.get("rope_scaling") or {}
    # One kind of rotary positions for all layers, or one for each kind of layers.
    each = [told, *(inner for inner in told.values() if isinstance(inner, dict))]
    return any(one.get("rope_type", one.get("type")) in _ROPE_BY_LENGTH for one in each)


@cache
def _source_of(model_type: str) -> str:
    """Return the module of transformers that has a kind of model, empty where there is none.

    Its classes say by two attributes what they are. It is read because importing it would import torch.
    """
    special = names_in_mapping("transformers.models.auto.auto_mappings", "SPECIAL_MODEL_TYPE_TO_MODULE_NAME")
    name = special.get(model_type, (model_type.replace("-", "_"),))[0]
    spec = find_spec("transformers")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, "models", name, f"modeling_{name}.py")
        if name.isidentifier() and path.is_file():
            return path.read_text("utf-8")
    return ""
