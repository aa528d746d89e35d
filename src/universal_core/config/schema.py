"""The JSON schema of the configuration file, for editors."""

from collections.abc import Iterable
from typing import Any

import msgspec

from universal_core.config.sections import Config
from universal_core.models import Backend

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "Universal Runtime"
_PLACE = "#/$defs/{}"


def schema(backends: Iterable[Backend] = ()) -> dict[str, Any]:
    """Return the schema of the file; the options of a model are those of one of the backends, where there are any."""
    known = sorted(backends, key=lambda backend: backend.name)
    (root, *options), parts = msgspec.json.schema_components(
        [Config, *(backend.options for backend in known)], ref_template=_PLACE.replace("{}", "{name}")
    )
    by_backend = dict(zip((backend.name for backend in known), options, strict=True))
    if by_backend:
        _tell_options(parts["ModelConfig"], by_backend)
    whole = parts.pop("Config")
    for place in whole["properties"].values():
        # Every field below tells its own.
        place.pop("default")
    assert root == {"$ref": _PLACE.format("Config")}
    return {"$schema": DIALECT, **whole, "title": TITLE, "$defs": dict(sorted(parts.items()))}


def schema_text(backends: Iterable[Backend] = ()) -> str:
    """Return the schema as it is written into a file."""
    return msgspec.json.format(msgspec.json.encode(schema(backends)), indent=2).decode()


def _tell_options(model: dict[str, Any], options: dict[str, Any]) -> None:
    """Say in the schema of a model which options it may have: those of any backend, or of the one that it names."""
    known = model["properties"]["options"]
    known["anyOf"] = [{"title": f"Options of {name}", **place} for name, place in options.items()]
    model["allOf"] = [
        {
            "if": {"properties": {"backend": {"const": name}}, "required": ["backend"]},
            "then": {"properties": {"options": place}},
        }
        for name, place in options.items()
    ]
