"""Requests for answers in a form."""

from typing import Any

from tiny.answers import chat_request, completion
from universal_core import ChatRequest, CompletionRequest, ResponseFormat

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 18, "maximum": 99},
        "role": {"enum": ["admin", "guest"]},
        "tags": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
    },
    "required": ["name", "age", "role", "tags"],
    "additionalProperties": False,
}


def formed(schema: Any = None, **fields: Any) -> ChatRequest:
    """Return a chat whose answer is a JSON object, of a schema where there is one."""
    kind = "json_object" if schema is None else "json_schema"
    param = "response_format" if schema is None else "response_format.json_schema.schema"
    form = ResponseFormat(type=kind, param=param, schema=schema)
    settings = {"temperature": 1.0, "max_tokens": 300, "response_format": form, **fields}
    return chat_request("hello", **settings)


def guided(kind: Any, value: Any, **fields: Any) -> CompletionRequest:
    """Return a completion in the form that the field ``guided_KIND`` asks for."""
    content = (
        {"choices": tuple(value)} if kind == "choice" else {"schema": value} if kind == "json" else {"text": value}
    )
    form = ResponseFormat(type="json_schema" if kind == "json" else kind, param=f"guided_{kind}", **content)
    return completion("hello", **{"temperature": 1.0, "max_tokens": 60, "response_format": form, **fields})


def is_person(value: Any) -> bool:
    """Whether a value is what ``PERSON`` describes."""
    return (
        list(value) == ["name", "age", "role", "tags"]
        and len(value["name"]) <= 8
        and 18 <= value["age"] <= 99
        and isinstance(value["age"], int)
        and value["role"] in ("admin", "guest")
        and 1 <= len(value["tags"]) <= 3
        and all(isinstance(tag, bool) for tag in value["tags"])
    )
