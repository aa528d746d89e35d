"""The form that a request wants its answer in: OpenAI's response_format, and the names that vLLM's users write."""

import json
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from universal_core.errors import BadRequest
from universal_core.messages import ResponseFormat

Text = Annotated[str, Meta(min_length=1)]
Choices = Annotated[list[Text], Meta(min_length=1)]
Schema = dict[str, Any] | bool


class JsonSchema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schema that an answer must follow."""

    name: str
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormatBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``response_format``."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    def to_format(self) -> ResponseFormat | None:
        """Return the domain's form, None for plain text."""
        if self.type == "json_object":
            return ResponseFormat(type="json_object")
        if self.type == "text":
            return None
        if self.json_schema is None:
            raise BadRequest(
                "response_format.json_schema is required for type json_schema", param="response_format.json_schema"
            )
        found = self.json_schema
        if found.schema is None:
            return ResponseFormat(type="json_object", name=found.name)
        return ResponseFormat(
            type="json_schema",
            param="response_format.json_schema.schema",
            name=found.name,
            schema=found.schema,
            strict=bool(found.strict),
        )


class StructuredOutputs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``structured_outputs``: the newer form of the guided fields; exactly one is given."""

    json: Schema | str | None = None
    regex: Text | None = None
    choice: Choices | None = None
    grammar: Text | None = None
    json_object: Literal[True] | None = None


class GuidedBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields beyond OpenAI's that say what form the answer has."""

    grammar: Text | None = None
    guided_json: Schema | str | None = None
    guided_regex: Text | None = None
    guided_choice: Choices | None = None
    guided_grammar: Text | None = None
    structured_outputs: StructuredOutputs | None = None

    def form(self, asked: ResponseFormat | None = None) -> ResponseFormat | None:
        """Return the one form that was asked for, by these fields or as ``asked``. Raises BadRequest for two."""
        forms = [asked] if asked else []
        forms += self._guided()
        if len(forms) > 1:
            raise BadRequest(
                f"{forms[1].param} and {forms[0].param} both say what form the answer has; send one of them",
                param=forms[1].param,
            )
        return forms[0] if forms else None

    def _guided(self) -> list[ResponseFormat]:
        inner = self.structured_outputs
        places: list[tuple[str, str, Any]] = [
            ("grammar", "grammar", self.grammar),
            *((f"guided_{kind}", kind, getattr(self, f"guided_{kind}")) for kind in ("json", "regex", "choice")),
            ("guided_grammar", "grammar", self.guided_grammar),
        ]
        if inner is not None:
            kinds = ("json", "regex", "choice", "grammar", "json_object")
            places += [(f"structured_outputs.{kind}", kind, getattr(inner, kind)) for kind in kinds]
        return [_form(param, kind, value) for param, kind, value in places if value is not None]


def _form(param: str, kind: str, value: Any) -> ResponseFormat:
    match kind:
        case "json":
            return ResponseFormat(type="json_schema", param=param, schema=_schema(param, value), strict=True)
        case "json_object":
            return ResponseFormat(type="json_object", param=param)
        case "choice":
            return ResponseFormat(type="choice", param=param, choices=tuple(value))
        case "regex":
            return ResponseFormat(type="regex", param=param, text=value)
        case _:
            return ResponseFormat(type="grammar", param=param, text=value)


def _schema(param: str, value: Schema | str) -> Schema:
    """Return a schema, which vLLM takes as JSON text too."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except ValueError as error:
        raise BadRequest(f"{param}: expected a JSON schema; this text is no JSON: {error}", param=param) from None
    if not isinstance(found, dict | bool):
        raise BadRequest(f"{param}: expected a JSON schema, an object or a boolean", param=param)
    return found
