"""Reads and checks a request's body; what is wrong is told with the field, what was expected, and what to do."""

import difflib
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import inspect
from starlette.requests import ClientDisconnect, Request

from universal_core.errors import BadRequest, PayloadTooLarge, RequestAborted, UnsupportedMediaType
from universal_core.http.defaults import with_defaults

Body = TypeVar("Body")
_FIELD = re.compile(r"unknown field `([^`]*)`")
_MISSING = re.compile(r"missing required field `([^`]*)`")
_STEP = re.compile(r"\[\.\.\.\]|\[\d+\]|[^.\[\]]+")


async def read_json(request: Request, type: type[Body], model: str | None = None) -> Body:
    """Return the body as ``type``, with the defaults that its model is configured with.

    ``model`` is what requests mean that name none, where that is not the server's default. Raises UnsupportedMediaType,
    PayloadTooLarge, BadRequest.
    """
    media = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        raise UnsupportedMediaType(f"expected Content-Type: application/json, got {media}")
    return decode(with_defaults(request, await read_bytes(request), type, model), type)


async def read_bytes(request: Request) -> bytes:
    """Return the whole body, refusing one over the limit before it is all in memory."""
    limit = request.app.state.runtime.config.server.max_body_bytes
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise PayloadTooLarge(f"the body is over the limit of {limit} bytes (server.max_body_bytes)")
    except ClientDisconnect:
        raise RequestAborted("the client went away while sending the body") from None
    return bytes(body)


def decode(data: bytes | msgspec.Raw, type: type[Body], place: str = "") -> Body:
    """Return JSON as ``type``. Raises BadRequest that names the field, below ``place`` where that is in the body."""
    try:
        return msgspec.json.decode(data, type=type)
    except msgspec.ValidationError as error:
        raise _explained(str(error), type, place) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from None


def check(values: dict[str, Any], type: type[Body]) -> Body:
    """Return the fields of a form, whose values are texts, as ``type``. Raises BadRequest that names the field."""
    try:
        # A file of a form may become any Struct that has its fields.
        return msgspec.convert(values, type, strict=False, from_attributes=True)
    except msgspec.ValidationError as error:
        raise _explained(str(error), type) from None


def _explained(message: str, type: Any, place: str = "") -> BadRequest:
    message, _, found_at = message.partition(" - at ")
    path = found_at.rpartition("`$")[2].strip("`").removeprefix(".")
    whole = ".".join(step for step in (place, path) if step)
    for pattern in (_FIELD, _MISSING):
        if found := pattern.search(message):
            return _about_field(found[1], path, whole, type, missing=pattern is _MISSING)
    if message.startswith("Invalid "):
        choices = sorted({str(choice) for choice in _choices(type, path)})
        if choices:
            message += f"; expected one of {', '.join(choices)}"
    return BadRequest(f"{whole or 'the body'}: {_plain(message)}", param=whole or None)


def _about_field(field: str, path: str, whole: str, type: Any, *, missing: bool) -> BadRequest:
    full = f"{whole}.{field}" if whole else field
    if missing:
        return BadRequest(f"{full} is required", param=full)
    known = {name for node in _walk(type, path) for name in _fields(node)}
    close = difflib.get_close_matches(field, known, n=1, cutoff=0.5)
    advice = f"did you mean {close[0]}? Otherwise remove it" if close else "remove it"
    return BadRequest(f"unknown field {full}; {advice}", param=full)


def _plain(message: str) -> str:
    text = message.replace("`", "")
    return text[:1].lower() + text[1:]


def _walk(type: Any, path: str) -> list[inspect.Type]:
    """Return the types that may stand at a path such as ``messages[0].role``."""
    nodes = [inspect.type_info(type)]
    for step in _STEP.findall(path):
        nodes = [inner for node in nodes for inner in _inside(node, step)]
    return [flat for node in nodes for flat in _flatten(node)]


def _flatten(node: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(node, inspect.Metadata):
        yield from _flatten(node.type)
    elif isinstance(node, inspect.UnionType):
        for inner in node.types:
            yield from _flatten(inner)
    else:
        yield node


def _inside(node: inspect.Type, step: str) -> Iterator[inspect.Type]:
    for flat in _flatten(node):
        if isinstance(flat, inspect.StructType):
            yield from (field.type for field in flat.fields if field.encode_name == step)
            if flat.tag_field == step and flat.tag is not None:
                yield inspect.LiteralType((flat.tag,))
        elif isinstance(flat, inspect.DictType):
            yield flat.value_type
        elif isinstance(flat, inspect.ListType | inspect.VarTupleType) and step.startswith("["):
            yield flat.item_type


def _fields(node: inspect.Type) -> tuple[str, ...]:
    return tuple(field.encode_name for field in node.fields) if isinstance(node, inspect.StructType) else ()


def _choices(type: Any, path: str) -> Iterator[Any]:
    for node in _walk(type, path):
        if isinstance(node, inspect.LiteralType):
            yield from node.values
