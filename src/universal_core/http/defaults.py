"""Fields that the configuration gives to requests that leave them out: the ``defaults`` of their model."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from starlette.requests import HTTPConnection
from starlette.types import Scope

from universal_core.adapters import find_adapted
from universal_core.config import Config, ConfigError, nearest
from universal_core.errors import UniversalError

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
DEFAULTED = "universal.defaulted"

SAME = (
    ("max_tokens", "max_completion_tokens", "max_output_tokens"),
    ("stop", "stop_sequences"),
    ("prompt_name", "input_type"),
)
"""Fields that say the same: a default of one is given by the name that an endpoint has for it."""

RIVALS = (
    (
        *("response_format", "text", "grammar", "structured_outputs"),
        *("guided_json", "guided_regex", "guided_choice", "guided_grammar"),
    ),
    ("output_format", "output_config"),
)
"""Fields of which a request may have only one: a request that has one gets no default of another."""

OF_REQUESTS = ("model", "stream", "stream_options")
"""Fields that no default can stand for: a client must know what form its answer has."""


class Defaulted(msgspec.Struct, frozen=True):
    """The fields that a request got from the configuration of its model, by the names that stand there."""

    model: str
    names: dict[str, str]


def reads(*bodies: type[msgspec.Struct]) -> Callable[[Endpoint], Endpoint]:
    """Declare what an endpoint reads, so that the configuration may give defaults to the fields of these bodies."""

    def declare(endpoint: Endpoint) -> Endpoint:
        endpoint.reads = bodies  # type: ignore[attr-defined]
        return endpoint

    return declare


def bodies_of(routes: Iterable[Any]) -> list[type[msgspec.Struct]]:
    """Return what the endpoints of some routes read."""
    return [body for route in routes for body in getattr(getattr(route, "endpoint", None), "reads", ())]


def with_defaults(connection: HTTPConnection, data: bytes, type: type[Any], model: str | None = None) -> bytes:
    """Return a body of JSON with the defaults of its model; one that cannot be read is left as it is.

    ``model`` is what requests mean that name none, where that is not the server's default.
    """
    if not _has_defaults(connection, type):
        return data
    try:
        given = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        name = msgspec.json.decode(given.get("model", b"null"), type=str | None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data
    present = {field for field, value in given.items() if bytes(value) != b"null"}
    added = _choose(connection, name or model, present, type)
    return msgspec.json.encode(given | added) if added else data


def fill(
    connection: HTTPConnection, values: Mapping[str, Any], type: type[Any], model: str | None = None
) -> dict[str, Any]:
    """Return the fields of a form or of a query with the defaults of their model."""
    name = values.get("model") or model
    if not _has_defaults(connection, type) or not isinstance(name, str | None):
        return dict(values)
    return dict(values) | _choose(connection, name, values.keys(), type)


def explained(error: UniversalError, scope: Scope | None) -> UniversalError:
    """Return an error that says of a field where it comes from, if that is the configuration."""
    found: Defaulted | None = scope.get(DEFAULTED) if scope else None
    field = re.split(r"[.\[]", error.param or "", maxsplit=1)[0]
    if found is None or field not in found.names:
        return error
    words = f"the request leaves it out, so it is the default of {found.model}: model.{found.model}.defaults"
    message = f"{error.message} ({words}.{found.names[field]} in the server's configuration)"
    return type(error)(message, param=error.param, retry_after=error.retry_after)


def check_defaults(bodies: Collection[type[msgspec.Struct]], config: Config) -> None:
    """Raise ConfigError for a default that no endpoint could use."""
    known: dict[str, list[Any]] = {}
    for body in bodies:
        for known_field in msgspec.structs.fields(body):
            known.setdefault(known_field.encode_name, []).append(known_field.type)
    for name, entry in config.model.items():
        for field, value in entry.defaults.items():
            if fault := _fault(field, value, known) or _twice(field, entry.defaults):
                raise ConfigError(f"model.{name}.defaults.{field}: {fault}")


def _fault(field: str, value: Any, known: Mapping[str, list[Any]]) -> str | None:
    """Return what is wrong with a default, whatever the endpoint."""
    if field in OF_REQUESTS:
        return "only a request itself can say this; remove it"
    if field not in known:
        return f"no request has this field{nearest(field, known)}"
    fault = None
    for type in known[field]:
        try:
            msgspec.json.decode(msgspec.json.encode(value), type=type)
        except msgspec.ValidationError as error:
            fault = fault or str(error).replace("`", "")
        else:
            return None
    return fault


def _twice(field: str, defaults: Mapping[str, Any]) -> str | None:
    others = [other for group in SAME + RIVALS if field in group for other in group if other in defaults]
    return f"{' and '.join(others)} exclude each other; keep one" if len(others) > 1 else None


def _has_defaults(connection: HTTPConnection, type: type[Any]) -> bool:
    config: Config = connection.app.state.runtime.config
    return any(entry.defaults for entry in config.model.values()) and "model" in _fields(type)


def _choose(connection: HTTPConnection, name: str | None, given: Collection[str], type: type[Any]) -> dict[str, Any]:
    """Return the fields that a request lacks and its model has defaults for, and note them for what may be wrong."""
    config: Config = connection.app.state.runtime.config
    name = name or config.models.default or ""
    known, chosen, names = _fields(type), {}, {}
    for field, value in _lacking(_defaults_of(config, name), given).items():
        group = next((group for group in SAME if field in group), ())
        if found := next((other for other in (field, *group) if other in known), None):
            chosen[found] = [value] if found == "stop_sequences" and isinstance(value, str) else value
            names[found] = field
    if chosen:
        connection.scope[DEFAULTED] = Defaulted(name, names)
    return chosen


def _defaults_of(config: Config, name: str) -> dict[str, Any]:
    """Return the defaults of a model; an adapter has those of its base, but for what its own alias says."""
    own = config.model[name].defaults if name in config.model else {}
    adapted = find_adapted(config, name)
    base = config.model[adapted.base].defaults if adapted else {}
    return own | _lacking(base, own)


def _lacking(defaults: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Return the defaults of fields that are not given, under no name, and that nothing given excludes."""
    taken = set(given).union(*(group for group in SAME + RIVALS if any(field in given for field in group)))
    return {field: value for field, value in defaults.items() if field not in taken}


def _fields(type: type[msgspec.Struct]) -> tuple[str, ...]:
    return type.__struct_encode_fields__
