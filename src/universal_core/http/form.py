"""Reads bodies that are forms, as files are sent, into the same Structs as JSON."""

import re
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

import msgspec
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from universal_core.errors import BadRequest, PayloadTooLarge, RequestAborted, UnsupportedMediaType
from universal_core.http.body import check, read_json
from universal_core.http.defaults import fill

Body = TypeVar("Body")
MOST_FILES = 256
MOST_FIELDS = 4096
LONGEST_FIELD = 1024 * 1024
"""Bytes that a field may have that is not a file."""

_BRACKETS = re.compile(r"^([^\[\]]+)\[([^\[\]]*)\]$")


class Upload(msgspec.Struct, frozen=True):
    """A file that came with a form: its content and the name that the client gave it."""

    data: bytes
    name: str = ""


async def read_form(request: Request, type: type[Body]) -> Body:
    """Return a body of multipart/form-data, or of JSON, as ``type``, with the defaults of its model.

    A file is an Upload, or any other Struct that has its fields. ``name[]`` is a list, however often it comes, and
    ``name[key]`` an object. Without brackets a field is a list if it comes several times, or can be nothing else.
    Raises UnsupportedMediaType, PayloadTooLarge, BadRequest.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == "application/json" or media.endswith("+json"):
        return await read_json(request, type)
    if media != "multipart/form-data":
        raise UnsupportedMediaType(
            f"expected Content-Type: multipart/form-data or application/json, got {media or 'none'}"
        )
    parser = MultiPartParser(
        request.headers,
        _limited(request),
        max_files=MOST_FILES,
        max_fields=MOST_FIELDS,
        max_part_size=LONGEST_FIELD,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BadRequest(f"the body is not a valid form: {error.message}") from None
    except ClientDisconnect:
        raise RequestAborted("the client went away while sending the body") from None
    try:
        return check(fill(request, await _values(form.multi_items(), type), type), type)
    finally:
        await form.close()


async def _limited(request: Request) -> AsyncGenerator[bytes]:
    limit = request.app.state.runtime.config.server.max_body_bytes
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"the body is over the limit of {limit} bytes (server.max_body_bytes)")
        yield chunk


async def _values(items: list[tuple[str, Any]], type: type[Any]) -> dict[str, Any]:
    """Return the fields by name. Raises BadRequest for one that comes twice and is no list."""
    always, sometimes = _lists(type)
    values: dict[str, Any] = {}
    for full, item in items:
        value = Upload(await item.read(), item.filename or "") if isinstance(item, UploadFile) else item
        found = _BRACKETS.match(full)
        name, key = (found[1], found[2]) if found else (full, "")
        before = values.get(name)
        if before is None:
            values[name] = {key: value} if key else [value] if found or name in always else value
        elif key and isinstance(before, dict) and key not in before:
            before[key] = value
        elif not key and isinstance(before, list):
            before.append(value)
        elif not key and name in sometimes and not isinstance(before, dict):
            values[name] = [before, value]
        else:
            raise BadRequest(f"{full}: came twice; send it once", param=name)
    return values


def _lists(type: type[Any]) -> tuple[set[str], set[str]]:
    """Return the fields of a Struct that are lists whenever they are not None, and those that may be."""
    always: set[str] = set()
    sometimes: set[str] = set()
    for field in msgspec.inspect.type_info(type).fields:  # type: ignore[attr-defined]
        inner = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        kinds = [isinstance(node, msgspec.inspect.ListType) for node in inner if not _is_none(node)]
        if any(kinds):
            (always if all(kinds) else sometimes).add(field.encode_name)
    return always, sometimes


def _is_none(node: msgspec.inspect.Type) -> bool:
    return isinstance(node, msgspec.inspect.NoneType)
