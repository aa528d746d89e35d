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
    """``response_format``; some servers have ``schema`` here, where OpenAI has it in ``json_schema``."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
    schema: dict[str, Any] | None = None

    def to_format(self) -> ResponseFormat | None:
        """Return the domain's form, None for plain text. Raises BadRequest for a schema that is missing or too much."""
        self._check()
        if self.type == "text":
            return None
        inner = self.json_schema or JsonSchema(name="")
        schema = self.schema if inner.schema is None else inner.schema
        if schema is None:
            return ResponseFormat(type="json_object", name=inner.name or None)
        return ResponseFormat(
            type="json_schema",
            param="response_format.schema" if inner.schema is None else "response_format.json_schema.schema",
            name=inner.name or None,
            schema=schema,
            strict=bool(inner.strict),
        )

    def _check(self) -> None:
        def refuse(param: str, words: str) -> None:
            raise BadRequest(f"{param}{words}", param=param)

        if self.json_schema is not None and self.type != "json_schema":
            refuse("response_format.json_schema", f": only allowed with type json_schema, not with {self.type}")
        if self.schema is not None and self.type == "text":
            refuse("response_format.schema", ": only allowed with type json_schema or json_object")
        if self.schema is not None and self.json_schema is not None:
            refuse("response_format.schema", " and response_format.json_schema are both there; send the latter")
        if self.type == "json_schema" and self.schema is None and self.json_schema is None:
            refuse("response_format.json_schema", " is required for type json_schema")


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
        if inner == StructuredOutputs():
            raise BadRequest(
                f"structured_outputs: expected one of {', '.join(inner.__struct_fields__)}", param="structured_outputs"
            )
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
