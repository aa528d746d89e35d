"""Objects with no more members than their schema names: most schemas mean that, and do not say so."""

from collections.abc import Sequence
from typing import Any

_TELLING = ("additionalProperties", "patternProperties", "minProperties", "enum", "const")


def close(schemas: Sequence[dict[str, Any]]) -> None:
    """Forbid further members in all objects that name some and say nothing of others.

    What is valid then is valid by the schema as it was. A model that is free to go on invents members; vLLM's engines
    close objects likewise. ``schemas`` are all parts of one schema. Where a part is put together from several, each has
    members that the others do not name, so all stay open.
    """
    if any(map(_is_joined, schemas)):
        return
    for schema in schemas:
        named = schema.get("properties")
        if named is None or any(name in schema for name in _TELLING) or set(schema.get("required", ())) - named.keys():
            continue
        schema["additionalProperties"] = False


def _is_joined(schema: dict[str, Any]) -> bool:
    return len(schema.get("allOf", ())) + sum(name in schema for name in ("properties", "anyOf", "$ref")) > 1
