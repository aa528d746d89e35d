"""References within a schema."""

from typing import Any
from urllib.parse import unquote

Schema = dict[str, Any] | bool


def resolve(root: Schema, reference: str) -> Schema | None:
    """Return what ``#`` or a JSON pointer such as ``#/$defs/name`` (RFC 6901) names, None where nothing is there."""
    found: Any = root
    if reference != "#" and not reference.startswith("#/"):
        return None
    for step in reference.split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found if isinstance(found, dict | bool) else None


def below(place: str, *steps: str | int) -> str:
    """Return the pointer to what lies ``steps`` below a place."""
    return "/".join([place, *(str(step).replace("~", "~0").replace("/", "~1") for step in steps)])
