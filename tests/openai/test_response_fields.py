"""Every field of /v1/responses that OpenAI's own client can send: honoured, harmless, or refused by its name."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from openai.types.responses import (
    ResponseFunctionToolCallParam,
    ResponseIncludable,
    ResponseInputImageParam,
    ResponseInputTextParam,
    ResponseOutputMessageParam,
    ResponseReasoningItemParam,
    response_create_params,
    tool_param,
)
from openai.types.responses.easy_input_message_param import EasyInputMessageParam
from openai.types.responses.input_token_count_params import InputTokenCountParams
from openai.types.responses.response_input_item_param import FunctionCallOutput
from openai.types.shared_params import Reasoning

from universal_core.errors import BadRequest, UnsupportedField
from universal_core.http import decode
from universal_core.messages import ChatMessage, ChatRequest, ResponseFormat, TextPart, Tool
from universal_core.openai import response_items
from universal_core.openai.forms import GuidedBody
from universal_core.openai.response_bodies import INCLUDES, FunctionToolItem, ReasoningBody, ResponsesBody

TURN = ChatMessage(role="user", content=(TextPart(text="hi"),))
FUNCTION = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}
OTHER = {"type": "function", "name": "g"}
TOOL = Tool(name="f", description="d", parameters={"type": "object"}, strict=True)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def body_of(**fields: Any) -> ResponsesBody:
    found = decode(json.dumps({"input": "hi", **fields}).encode(), ResponsesBody)
    found.refuse()
    return found


def asked(**fields: Any) -> ChatRequest:
    return body_of(**fields).to_request([TURN])


@pytest.mark.parametrize(
    ("params", "struct"),
    [
        (response_create_params.ResponseCreateParamsBase, ResponsesBody),
        (InputTokenCountParams, ResponsesBody),
        (tool_param.FunctionToolParam, FunctionToolItem),
        (Reasoning, ReasoningBody),
        (EasyInputMessageParam, response_items.MessageItem),
        (ResponseOutputMessageParam, response_items.MessageItem),
        (ResponseFunctionToolCallParam, response_items.FunctionCallItem),
        (FunctionCallOutput, response_items.FunctionCallOutputItem),
        (ResponseReasoningItemParam, response_items.ReasoningItem),
        (ResponseInputTextParam, response_items.InputText),
        (ResponseInputImageParam, response_items.InputImage),
    ],
)
def test_every_field_of_the_official_client_is_known(params: Any, struct: type[msgspec.Struct]) -> None:
    known = {field.encode_name for field in msgspec.structs.fields(struct)}
    bases = (params, *getattr(params, "__orig_bases__", ()))
    annotations = {name for base in bases for name in getattr(base, "__annotations__", ())}
    assert annotations - known - {"type"} == set()


@pytest.mark.parametrize("name", get_args(ResponseIncludable))
def test_every_name_that_the_official_client_includes_is_known_or_refused(name: str) -> None:
    if name in INCLUDES:
        asked(include=[name])
    else:
        with pytest.raises(UnsupportedField, match="known are"):
            asked(include=[name])


HONOURED = [
    ({"temperature": 0}, {"temperature": 0.0}),
    ({"top_p": 0.5}, {"top_p": 0.5}),
    ({"top_k": 40}, {"top_k": 40}),
    ({"min_p": 0.1}, {"min_p": 0.1}),
    ({"repetition_penalty": 1.1}, {"repetition_penalty": 1.1}),
    ({"presence_penalty": -2}, {"presence_penalty": -2.0}),
    ({"frequency_penalty": 2}, {"frequency_penalty": 2.0}),
    ({"logit_bias": {"5": -100}}, {"logit_bias": {5: -100.0}}),
    ({"seed": 3}, {"seed": 3}),
    ({"stop": "end"}, {"stop": ("end",)}),
    ({"n_ctx": 2048}, {"n_ctx": 2048}),
    ({"max_output_tokens": 5}, {"max_tokens": 5}),
    ({"include": ["message.output_text.logprobs"]}, {"logprobs": 0}),
    ({"include": ["message.output_text.logprobs"], "top_logprobs": 3}, {"logprobs": 3}),
    ({"top_logprobs": 3}, {"logprobs": 3}),
    ({"top_logprobs": 0}, {"logprobs": None}),
    (
        {"text": {"format": {"type": "json_object"}}},
        {"response_format": ResponseFormat(type="json_object", param="text.format")},
    ),
    (
        {"text": {"format": {"type": "json_schema", "name": "s", "schema": SCHEMA, "strict": True}}},
        {
            "response_format": ResponseFormat(
                type="json_schema", param="text.format.schema", name="s", schema=SCHEMA, strict=True
            )
        },
    ),
    (
        {"guided_choice": ["a", "b"]},
        {"response_format": ResponseFormat(type="choice", param="guided_choice", choices=("a", "b"))},
    ),
    ({"tools": [FUNCTION]}, {"tools": (TOOL,), "tool_choice": "auto"}),
    ({"tools": [{**FUNCTION, "strict": None}]}, {"tools": (TOOL,)}),
    ({"tools": [{**FUNCTION, "strict": False}]}, {"tools": (msgspec.structs.replace(TOOL, strict=False),)}),
    ({"tools": [FUNCTION], "tool_choice": "required"}, {"tool_choice": "required"}),
    (
        {"tools": [FUNCTION, OTHER], "tool_choice": {"type": "function", "name": "g"}},
        {"tool_choice": "required", "allowed_tools": ("g",)},
    ),
    (
        {
            "tools": [FUNCTION, OTHER],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "g"}]},
        },
        {"tool_choice": "auto", "allowed_tools": ("g",)},
    ),
    ({"tools": [FUNCTION], "parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    ({"reasoning": {"effort": "high"}}, {"reasoning_effort": "high"}),
    ({"thinking_budget": 9}, {"thinking_budget": 9}),
    ({"truncation": "auto"}, {"truncation": "auto"}),
    ({"chat_template_kwargs": {"a": 1}}, {"chat_template_kwargs": {"a": 1}}),
]
HARMLESS: list[dict[str, Any]] = [
    {"user": "me"},
    {"metadata": {"a": "b"}},
    {"store": True},
    {"service_tier": "flex"},
    {"safety_identifier": "x"},
    {"prompt_cache_key": "x"},
    {"prompt_cache_retention": "24h"},
    {"prompt_cache_options": {"mode": "implicit"}},
    {"stream": True, "stream_options": {"include_obfuscation": False}},
    {"parallel_tool_calls": False},
    {"max_tool_calls": 3},
    {"background": False},
    {"truncation": "disabled"},
    {"text": {"format": {"type": "text"}, "verbosity": "medium"}},
    {"reasoning": {"context": "auto", "mode": "standard", "summary": "auto", "generate_summary": "concise"}},
    {"include": ["reasoning.encrypted_content", "message.input_image.image_url"]},
    {"tools": [], "tool_choice": "auto"},
    {"tool_choice": "none"},
    {"instructions": None},
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"conversation": "conv_1"}, "conversation"),
    ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"background": True}, "background"),
    ({"background_options": {}}, "background_options"),
    ({"context_management": []}, "context_management"),
    ({"access_programs": {}}, "access_programs"),
    ({"image": {}}, "image"),
    ({"moderation": {"model": "m"}}, "moderation"),
    ({"personality": "friendly"}, "personality"),
    ({"include": ["file_search_call.results"]}, "include"),
    ({"text": {"verbosity": "low"}}, "text.verbosity"),
    ({"reasoning": {"context": "all_turns"}}, "reasoning.context"),
    ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
    *(
        ({"tools": [FUNCTION, {"type": kind, "any": "thing"}]}, "tools[1].type")
        for kind in ("web_search", "file_search", "code_interpreter", "computer", "mcp", "image_generation", "custom")
    ),
]
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"input": None}, "input", "input is required"),
    ({"text": {"format": {"type": "json_schema", "schema": SCHEMA}}}, "text.format.name", "required"),
    ({"text": {"format": {"type": "json_schema", "name": "s"}}}, "text.format.schema", "required"),
    ({"text": {"format": {"type": "grammar"}}}, "text.format.type", "expected one of json_object, json_schema, text"),
    ({"text": {"format": {"type": "json_object"}}, "grammar": "x"}, "grammar", "send one of them"),
    ({"tool_choice": "required"}, "tool_choice", "no tools to choose from"),
    ({"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice", "there is no tool g"),
    ({"tools": [FUNCTION], "tool_choice": {"type": "web_search"}}, "tool_choice.type", "allowed_tools, function"),
    ({"tools": [{**FUNCTION, "defer_loading": True}]}, "tools[0].defer_loading", "False"),
    ({"tools": [{"type": "function"}]}, "tools[0].name", "required"),
    ({"max_output_tokens": 0}, "max_output_tokens", ">= 1"),
    ({"max_tokens": 5}, "max_tokens", "did you mean max_output_tokens"),
    ({"n": 2}, "n", "unknown field"),
    ({"messages": []}, "messages", "unknown field"),
    ({"top_logprobs": 21}, "top_logprobs", "<= 20"),
    ({"truncation": "middle"}, "truncation", "expected one of auto, disabled"),
    ({"stream_options": {}}, "stream_options", "only allowed with stream true"),
]


@pytest.mark.parametrize(("fields", "expected"), HONOURED, ids=str)
def test_a_field_arrives_in_the_request(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    request = asked(**fields)
    assert {name: getattr(request, name) for name in expected} == expected


@pytest.mark.parametrize("fields", HARMLESS, ids=str)
def test_a_harmless_field_changes_nothing_and_asks_nothing_of_the_model(fields: dict[str, Any]) -> None:
    assert asked(**fields) == asked()
    assert asked(**fields).features() == {}


@pytest.mark.parametrize(("fields", "param"), REFUSED, ids=str)
def test_what_only_openai_can_do_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedField, match="support") as raised:
        asked(**fields)
    assert raised.value.param == param


@pytest.mark.parametrize(("fields", "param", "words"), WRONG, ids=str)
def test_fields_that_make_no_sense_are_refused(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as raised:
        asked(**fields)
    assert raised.value.param == param


def test_every_field_of_the_body_is_tried_by_these_tests() -> None:
    # The forms of an answer beyond OpenAI's are those of chat, and tried there.
    forms = set(GuidedBody.__struct_fields__)
    elsewhere = {"model", "previous_response_id"}
    assert set(ResponsesBody.__struct_fields__) - set(tried()) - forms == elsewhere


def tried() -> Iterator[str]:
    for fields, *_ in [*HONOURED, *REFUSED, *WRONG]:
        yield from fields
    for fields in HARMLESS:
        yield from fields


def test_a_count_has_the_turns_and_tools_of_the_answer() -> None:
    fields: Any = {"tools": [FUNCTION], "parallel_tool_calls": False, "tool_choice": "none", "thinking_budget": 9}
    asked = body_of(**fields, chat_template_kwargs={"a": 1}, reasoning={"effort": "low"}, temperature=0)
    found = asked.to_count([TURN])
    assert (found.messages, found.tools, found.parallel_tool_calls) == ((TURN,), (TOOL,), False)
    assert found.chat == msgspec.structs.replace(asked.to_request([TURN]), temperature=None)
    one = {"type": "function", "name": FUNCTION["name"]}
    assert body_of(tools=[FUNCTION], tool_choice=one).to_count([TURN]).tool_choice == "required"
