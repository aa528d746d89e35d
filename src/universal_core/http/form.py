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

Body = TypeVar("Body")
MOST_FILES = 32
MOST_FIELDS = 256
LONGEST_FIELD = 1024 * 1024
"""Bytes that a field may have that is not a file."""

_BRACKETS = re.compile(r"^([^\[\]]+)\[([^\[\]]*)\]$")


class Upload(msgspec.Struct, frozen=True):
    """A file that came with a form: its content and the name that the client gave it."""

    data: bytes
    name: str = ""


async def read_form(request: Request, type: type[Body]) -> Body:
    """Return a body of multipart/form-data, or of JSON, as ``type``.

    A file is an Upload. ``name[]`` is a list, however often it comes, and ``name[key]`` an object.
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
        return check(await _values(form.multi_items(), type), type)
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
    lists = _lists(type)
    values: dict[str, Any] = {}
    for full, item in items:
        value = Upload(await item.read(), item.filename or "") if isinstance(item, UploadFile) else item
        found = _BRACKETS.match(full)
        name, key = (found[1], found[2]) if found else (full, "")
        if key:
            values.setdefault(name, {})[key] = value
        elif found or name in lists:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise BadRequest(f"{name}: came twice; send it once", param=name)
        else:
            values[name] = value
    return values


def _lists(type: type[Any]) -> set[str]:
    """Return the fields of a Struct that may be lists and nothing else but None."""
    found = set()
    for field in msgspec.inspect.type_info(type).fields:  # type: ignore[attr-defined]
        inner = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        kinds = [node for node in inner if not isinstance(node, msgspec.inspect.NoneType)]
        if kinds and all(isinstance(node, msgspec.inspect.ListType) for node in kinds):
            found.add(field.encode_name)
    return found
