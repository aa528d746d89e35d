"""Whether a recursive schema can come to an end."""

from collections.abc import Callable
from typing import Any

from universal_core.conversation.schemas.pointers import Schema, resolve


def endless(root: Schema, references: set[str]) -> str | None:
    """Return a reference of a schema that leads to itself in every value, None where all can come to an end.

    ``references`` are all that the schema has. Those that end without others are known first, then those that end
    with the known ones, and so on: the least fixed point.
    """
    ending: set[str] = set()
    while found := {one for one in references - ending if _ends(resolve(root, one), ending.__contains__)}:
        ending |= found
    return None if _ends(root, ending.__contains__) else next(iter(sorted(references - ending)), None)


def _ends(schema: Schema | None, known: Callable[[str], bool]) -> bool:
    if not isinstance(schema, dict) or "enum" in schema or "const" in schema:
        return True
    if "$ref" in schema and not known(schema["$ref"]):
        return False
    if not all(_ends(each, known) for each in schema.get("allOf", ())):
        return False
    for key in ("anyOf", "oneOf"):
        if schema.get(key) and not any(_ends(each, known) for each in schema[key]):
            return False
    return schema.get("type") not in ("object", "array") or all(_ends(each, known) for each in _needed(schema))


def _needed(schema: dict[str, Any]) -> list[Schema]:
    """Return the schemas of what every object or array of a schema has."""
    if schema["type"] == "object":
        members = schema.get("properties", {})
        return [members[name] for name in schema.get("required", ()) if name in members]
    first, rest = schema.get("prefixItems", []), schema.get("items", True)
    if isinstance(rest, list):
        first, rest = rest, schema.get("additionalItems", True)
    least = schema.get("minItems", 0)
    return [*first[:least], *([rest] if least > len(first) else [])]
