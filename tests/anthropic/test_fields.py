"""Every field that Anthropic's own client can send is known here: honoured, harmless, or refused by its name."""

import json
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_count_tokens_params as beta_count_params
from anthropic.types.beta import message_create_params as beta_create_params
from anthropic.types.output_config_param import OutputConfigParam
from anthropic.types.shared.error_object import ErrorObject
from anthropic.types.stop_reason import StopReason
from anthropic.types.tool_param import ToolParam

from universal_core.anthropic.answers import Ending
from universal_core.anthropic.bodies import CountBody, MessagesBody
from universal_core.anthropic.errors import error_body
from universal_core.anthropic.tools import CustomTool
from universal_core.errors import BadRequest, UniversalError, UnsupportedField, error_classes
from universal_core.http import decode
from universal_core.messages import ChatRequest, Finish, ResponseFormat, Tool

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
TOOL = {"name": "f", "input_schema": SCHEMA}


def body(**fields: Any) -> MessagesBody:
    given = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2000, **fields}
    return decode(json.dumps(given).encode(), MessagesBody)


def request(**fields: Any) -> ChatRequest:
    return body(**fields).to_request()


@pytest.mark.parametrize(
    ("params", "found"),
    [
        (message_create_params.MessageCreateParamsBase, MessagesBody),
        (message_create_params.MessageCreateParamsStreaming, MessagesBody),
        (message_count_tokens_params.MessageCountTokensParams, CountBody),
        (beta_create_params.MessageCreateParamsBase, MessagesBody),
        (beta_count_params.MessageCountTokensParams, CountBody),
        (ToolParam, CustomTool),
    ],
)
def test_every_field_of_the_official_client_is_known(params: type[Any], found: type[msgspec.Struct]) -> None:
    unknown = set(params.__annotations__) - {field.encode_name for field in msgspec.structs.fields(found)}
    assert unknown == set()


def test_every_effort_of_the_official_client_is_known() -> None:
    efforts = get_args(get_args(get_type_hints(OutputConfigParam)["effort"])[0])
    assert "high" in efforts
    for effort in efforts:
        assert request(output_config={"effort": effort}).reasoning_effort == effort


def test_endings_and_errors_have_the_names_of_the_official_client() -> None:
    reasons = {
        Ending.of(Finish(reason=reason), ()).stop_reason for reason in get_args(Finish.__annotations__["reason"])
    }
    assert reasons <= set(get_args(StopReason))
    known = {get_args(kind.model_fields["type"].annotation)[0] for kind in get_args(get_args(ErrorObject)[0])}
    scope = {"type": "http", "universal.request_id": "r"}
    told = {error_body(error("x"), scope)["error"]["type"] for error in error_classes().values()}
    # The last is not among the client's types, but among those that Anthropic documents.
    assert told <= known | {"request_too_large"}


HONOURED = [
    ({"temperature": 0}, {"temperature": 0.0}),
    ({"top_p": 0.5}, {"top_p": 0.5}),
    ({"top_k": 40}, {"top_k": 40}),
    ({"max_tokens": 7}, {"max_tokens": 7, "max_tokens_is_ceiling": True}),
    ({"stop_sequences": ["a", "b"]}, {"stop": ("a", "b")}),
    ({"tools": [TOOL]}, {"tools": (Tool(name="f", parameters=SCHEMA),), "tool_choice": "auto"}),
    (
        {"tools": [{**TOOL, "strict": True, "type": "custom"}]},
        {"tools": (Tool(name="f", parameters=SCHEMA, strict=True),)},
    ),
    ({"tools": [TOOL], "tool_choice": {"type": "any"}}, {"tool_choice": "required", "allowed_tools": ()}),
    ({"tools": [TOOL], "tool_choice": {"type": "none"}}, {"tool_choice": "none"}),
    (
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "f"}},
        {"tool_choice": "required", "allowed_tools": ("f",)},
    ),
    (
        {"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        {"tool_choice": "auto", "parallel_tool_calls": False},
    ),
    ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, {"parallel_tool_calls": True}),
    ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"thinking_budget": 1024, "reasoning_effort": None}),
    ({"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}}, {"reasoning_effort": "none"}),
    ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, {"reasoning_effort": "max"}),
    ({"thinking": {"type": "adaptive"}}, {"reasoning_effort": None, "thinking_budget": None}),
    (
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {
            "response_format": ResponseFormat(
                type="json_schema", param="output_config.format.schema", schema=SCHEMA, strict=True
            )
        },
    ),
    (
        {"output_format": {"type": "json_schema", "schema": SCHEMA}},
        {
            "response_format": ResponseFormat(
                type="json_schema", param="output_format.schema", schema=SCHEMA, strict=True
            )
        },
    ),
]
HARMLESS = [
    {"metadata": {"user_id": "u"}},
    {"service_tier": "auto"},
    {"speed": "fast"},
    {"diagnostics": {"previous_message_id": None}},
    {"billing_policy": "x"},
    {"user_profile_id": "u"},
    {"workspace_id": "w"},
    {"betas": ["x"]},
    {"cache_control": {"type": "ephemeral"}},
    {"container": None, "mcp_servers": [], "inference_geo": None},
    {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
    {"tool_choice": {"type": "none"}},
    {"output_config": {}},
]
REFUSED = [
    ({"container": "c"}, "container"),
    ({"mcp_servers": [{"type": "url", "url": "https://m", "name": "m"}]}, "mcp_servers"),
    ({"fallbacks": [{"model": "m"}]}, "fallbacks"),
    ({"fallback_credit_token": "t"}, "fallback_credit_token"),
    ({"compaction": {}}, "compaction"),
    ({"thread": {}}, "thread"),
    ({"inference_geo": "eu"}, "inference_geo"),
    ({"output_config": {"task_budget": {"type": "tokens", "total": 1}}}, "output_config.task_budget"),
    ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
    ({"tools": [TOOL, {"type": "computer_20250124", "name": "computer"}]}, "tools[1].type"),
]
WRONG = [
    ({"tools": [{**TOOL, "defer_loading": True}]}, "tools[0].defer_loading"),
    ({"tools": [{**TOOL, "input_examples": [{"a": 1}]}]}, "tools[0].input_examples"),
    ({"tools": [{**TOOL, "allowed_callers": ["code_execution_20250825"]}]}, "tools[0].allowed_callers[0]"),
    ({"tools": [{**TOOL, "name": "a b"}]}, "tools[0].name"),
    ({"tools": [{**TOOL, "parameters": {}}]}, "tools[0].parameters"),
    ({"tool_choice": {"type": "any"}}, "tool_choice"),
    ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking.budget_tokens"),
    ({"thinking": {"type": "adaptive", "display": "updates"}}, "thinking.display"),
    ({"stop_sequences": [""]}, "stop_sequences[0]"),
    ({"top_k": -1}, "top_k"),
    ({"output_config": {"effort": "none"}}, "output_config.effort"),
    (
        {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "none"}]}},
        "context_management.edits[0].keep",
    ),
    (
        {
            "output_format": {"type": "json_schema", "schema": SCHEMA},
            "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        },
        "output_format",
    ),
]


def ids(case: Any) -> str:
    return json.dumps(case, default=str)[:60] if isinstance(case, dict) else ""


@pytest.mark.parametrize(("fields", "expected"), HONOURED, ids=ids)
def test_a_field_arrives_in_the_request(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    found = request(**fields)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize("fields", HARMLESS, ids=ids)
def test_a_harmless_field_changes_nothing(fields: dict[str, Any]) -> None:
    assert request(**fields) == request()


@pytest.mark.parametrize(("fields", "param"), REFUSED, ids=ids)
def test_what_nothing_here_can_honour_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedField) as raised:
        request(**fields)
    assert raised.value.param == param
    assert param in raised.value.message


@pytest.mark.parametrize(("fields", "param"), WRONG, ids=ids)
def test_a_value_that_is_not_allowed_is_told_by_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as raised:
        request(**fields)
    assert raised.value.param == param


def test_every_field_has_its_case() -> None:
    named = {name for fields, _ in [*HONOURED, *REFUSED, *WRONG] for name in fields}
    named |= {name for fields in HARMLESS for name in fields}
    assert set(MessagesBody.__struct_fields__) - named == {"messages", "model", "system", "stream"}


@pytest.mark.parametrize("name", sorted({*MessagesBody.__struct_fields__, *CountBody.__struct_fields__}))
def test_every_field_is_documented(name: str) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/endpoints.md").read_text("utf-8")
    section = page.partition("## POST /v1/messages\n")[2].partition("\n## ")[0]
    # The model is explained for all endpoints at once.
    assert name == "model" or f"`{name}`" in section


@pytest.mark.parametrize("error", sorted(error_classes().values(), key=lambda error: error.__name__))
def test_every_type_of_error_is_documented(error: type[UniversalError]) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/errors.md").read_text("utf-8")
    found = error_body(error("x"), {"type": "http", "universal.request_id": "r"})["error"]["type"]
    rows = dict(re.findall(r"^\| (\d+|others[^|]*) \| `(\w+)` \|$", page, re.MULTILINE))
    rest = "others below 500" if error.status < 500 else "others from 500 on"
    assert rows.get(str(error.status), rows[rest]) == found
