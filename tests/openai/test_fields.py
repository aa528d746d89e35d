"""Every field that OpenAI's own client can send is known here: honoured, harmless, or refused by its name."""

import json
from typing import Any

import msgspec
import pytest
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params

from universal_core.errors import BadRequest, UnsupportedField
from universal_core.http import decode
from universal_core.messages import ChatRequest, CompletionRequest, EmbedRequest, ResponseFormat, Tool
from universal_core.openai.chat import ChatBody
from universal_core.openai.completions import CompletionBody
from universal_core.openai.embeddings import EmbeddingsBody
from universal_core.openai.generation import GenerationBody

TURN = {"role": "user", "content": "hi"}


def chat_body(**fields: Any) -> ChatBody:
    return decode(json.dumps({"messages": [TURN], **fields}).encode(), ChatBody)


def chat(**fields: Any) -> ChatRequest:
    return chat_body(**fields).to_request()


def completion(**fields: Any) -> CompletionRequest:
    (found,) = decode(json.dumps({"prompt": "hi", **fields}).encode(), CompletionBody).to_requests()
    return found


def embed(**fields: Any) -> EmbedRequest:
    return decode(json.dumps({"input": "hi", **fields}).encode(), EmbeddingsBody).to_request()


@pytest.mark.parametrize(
    ("params", "body"),
    [
        (chat_create_params.CompletionCreateParamsBase, ChatBody),
        (completion_create_params.CompletionCreateParamsBase, CompletionBody),
        (embedding_create_params.EmbeddingCreateParams, EmbeddingsBody),
    ],
)
def test_every_field_of_the_official_client_is_known(params: type[Any], body: type[msgspec.Struct]) -> None:
    unknown = set(params.__annotations__) - {field.encode_name for field in msgspec.structs.fields(body)}
    assert unknown == set()


def test_every_reasoning_effort_of_the_official_client_is_known() -> None:
    from typing import get_args

    from openai.types.shared import ReasoningEffort

    efforts = {effort for option in get_args(ReasoningEffort) for effort in get_args(option)}
    assert efforts
    for effort in efforts:
        assert chat(reasoning_effort=effort).reasoning_effort == effort


TOOL = Tool(name="f", description="d", parameters={"type": "object"}, strict=True)
FUNCTION = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
}
OBJECT = {"type": "object"}


def form(kind: Any, param: str, **fields: Any) -> ResponseFormat:
    return ResponseFormat(type=kind, param=param, **fields)


GRAMMAR = {"response_format": form("grammar", "grammar", text="root ::= x")}

SHARED = [
    ({"max_tokens": 5}, {"max_tokens": 5}),
    ({"n": 3}, {"n": 3}),
    ({"temperature": 0}, {"temperature": 0.0}),
    ({"top_p": 0.5}, {"top_p": 0.5}),
    ({"top_k": 40}, {"top_k": 40}),
    ({"top_k": -1}, {"top_k": 0}),
    ({"min_p": 0.1}, {"min_p": 0.1}),
    ({"repetition_penalty": 1.1}, {"repetition_penalty": 1.1}),
    ({"presence_penalty": -2}, {"presence_penalty": -2.0}),
    ({"frequency_penalty": 2}, {"frequency_penalty": 2.0}),
    ({"logit_bias": {"5": -100, "6": 1.5}}, {"logit_bias": {5: -100.0, 6: 1.5}}),
    ({"seed": -1}, {"seed": -1}),
    ({"stop": "end"}, {"stop": ("end",)}),
    ({"stop": ["a", "b"]}, {"stop": ("a", "b")}),
    ({"stop": []}, {"stop": ()}),
    ({"n_ctx": 2048}, {"n_ctx": 2048}),
    ({"grammar": "root ::= x"}, GRAMMAR),
]
CHAT = [
    *SHARED,
    ({"grammar": "root ::= x", "response_format": {"type": "text"}}, GRAMMAR),
    ({"max_completion_tokens": 5}, {"max_tokens": 5}),
    ({"max_tokens": 5, "max_completion_tokens": 5}, {"max_tokens": 5}),
    ({"logprobs": True}, {"logprobs": 0}),
    ({"logprobs": True, "top_logprobs": 3}, {"logprobs": 3}),
    ({"logprobs": False, "top_logprobs": 0}, {"logprobs": None}),
    ({"response_format": {"type": "text"}}, {"response_format": None}),
    ({"response_format": {"type": "json_object"}}, {"response_format": ResponseFormat(type="json_object")}),
    (
        {"guided_json": {"type": "object"}},
        {"response_format": form("json_schema", "guided_json", schema=OBJECT, strict=True)},
    ),
    ({"guided_regex": "a+"}, {"response_format": form("regex", "guided_regex", text="a+")}),
    ({"guided_choice": ["a"]}, {"response_format": form("choice", "guided_choice", choices=("a",))}),
    ({"guided_grammar": "x"}, {"response_format": form("grammar", "guided_grammar", text="x")}),
    (
        {"structured_outputs": {"regex": "a+"}},
        {"response_format": form("regex", "structured_outputs.regex", text="a+")},
    ),
    ({"tools": [FUNCTION]}, {"tools": (TOOL,), "tool_choice": "auto"}),
    ({"tools": [FUNCTION], "tool_choice": "required"}, {"tool_choice": "required", "allowed_tools": ()}),
    ({"tools": [FUNCTION], "parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    ({"tool_choice": "none"}, {"tools": ()}),
    ({"tools": [], "tool_choice": "auto"}, {"tools": ()}),
    ({"reasoning_effort": "high"}, {"reasoning_effort": "high"}),
    ({"thinking_budget": 9}, {"thinking_budget": 9}),
    ({"truncation": "auto"}, {"truncation": "auto"}),
    ({"add_generation_prompt": False}, {"chat_template_kwargs": {"add_generation_prompt": False}}),
    ({"continue_final_message": True}, {"chat_template_kwargs": {"continue_final_message": True}}),
    ({"chat_template_kwargs": {"enable_thinking": False}}, {"chat_template_kwargs": {"enable_thinking": False}}),
]


def ids(case: Any) -> str:
    return json.dumps(case, default=str)[:60] if isinstance(case, dict) else ""


@pytest.mark.parametrize(("fields", "expected"), CHAT, ids=ids)
def test_a_field_of_chat_arrives_in_the_request(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    request = chat(**fields)
    assert {name: getattr(request, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        *SHARED,
        ({}, {"max_tokens": 16, "echo": False, "suffix": None, "logprobs": None}),
        ({"echo": True}, {"echo": True}),
        ({"suffix": " end"}, {"suffix": " end"}),
        ({"suffix": ""}, {"suffix": None}),
        ({"logprobs": 0}, {"logprobs": 0}),
        ({"logprobs": 5}, {"logprobs": 5}),
        ({"best_of": 1}, {"n": 1}),
        ({"best_of": 2, "n": 2}, {"n": 2, "logprobs": None}),
        ({"best_of": 3}, {"n": 3, "logprobs": 0}),
        ({"best_of": 3, "n": 2, "logprobs": 4}, {"n": 3, "logprobs": 4}),
        ({"max_tokens": 0, "echo": True}, {"max_tokens": 0, "echo": True}),
    ],
    ids=ids,
)
def test_a_field_of_completions_arrives_in_the_request(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    request = completion(**fields)
    assert {name: getattr(request, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"input": ("hi",), "normalize": True, "dimensions": None, "prompt_name": None}),
        ({"input": ["a", "b"]}, {"input": ("a", "b")}),
        ({"input": [1, 2]}, {"input": ((1, 2),)}),
        ({"input": [[1, 2], [3]]}, {"input": ((1, 2), (3,))}),
        ({"dimensions": 64}, {"dimensions": 64}),
        ({"normalize": False}, {"normalize": False}),
        ({"input_type": "query"}, {"prompt_name": "query"}),
        ({"prompt_name": "query"}, {"prompt_name": "query"}),
        ({"encoding_format": "base64", "user": "me"}, {"input": ("hi",)}),
    ],
    ids=ids,
)
def test_a_field_of_embeddings_arrives_in_the_request(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    request = embed(**fields)
    assert {name: getattr(request, name) for name in expected} == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "me"},
        {"metadata": {"a": "b"}},
        {"store": True},
        {"service_tier": "flex"},
        {"safety_identifier": "x"},
        {"prompt_cache_key": "x"},
        {"prompt_cache_retention": "24h"},
        {"prompt_cache_options": {"mode": "auto"}},
        {"prediction": {"type": "content", "content": "hi"}},
        {"modalities": ["text"]},
        {"verbosity": "medium"},
        {"truncation": "disabled"},
        {"stream": False},
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"parallel_tool_calls": True},
    ],
    ids=ids,
)
def test_a_harmless_field_changes_nothing_and_asks_nothing_of_the_model(fields: dict[str, Any]) -> None:
    assert chat(**fields) == chat()
    assert chat(**fields).features() == {}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"verbosity": "low"}, "verbosity"),
        ({"verbosity": "high"}, "verbosity"),
        ({"moderation": {"model": "some"}}, "moderation"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
    ],
    ids=ids,
)
def test_what_only_openai_can_do_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedField, match=r"not supported|only") as raised:
        chat(**fields)
    assert raised.value.param == param


def test_every_field_of_the_bodies_is_tried_by_these_tests() -> None:
    tried = {name for fields, _ in CHAT for name in fields}
    harmless = {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"}
    harmless |= {
        "prompt_cache_retention",
        "prompt_cache_options",
        "prediction",
        "modalities",
        "stream",
        "stream_options",
        "model",
        "messages",
    }
    refused = {"audio", "verbosity", "moderation", "web_search_options", "functions", "function_call"}
    later = {"prompt_cache_options", "moderation"}
    assert set(ChatBody.__struct_fields__) <= tried | harmless | refused | later
    assert set(GenerationBody.__struct_fields__) <= tried | harmless


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"top_logprobs": 2}, "top_logprobs", "only allowed with logprobs true"),
        ({"top_logprobs": 2, "logprobs": False}, "top_logprobs", "only allowed with logprobs true"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "only allowed with stream true"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_completion_tokens", "differ"),
    ],
    ids=ids,
)
def test_fields_that_contradict_each_other_are_refused(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as raised:
        chat(**fields)
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"best_of": 2, "n": 3}, "best_of", "at least n, which is 3, found 2"),
        ({"best_of": 2, "stream": True}, "best_of", "with stream it must equal n"),
        ({"prompt": []}, "prompt", "at least one text or token"),
        ({"prompt": ["a", 1]}, "prompt[1]", "cannot be mixed"),
        ({"prompt": [1, "a"]}, "prompt[1]", "cannot be mixed"),
        ({"prompt": [[1], 2]}, "prompt[1]", "cannot be mixed"),
        ({"prompt": [-1]}, "prompt[0]", ">= 0"),
        ({"stream_options": {}}, "stream_options", "only allowed with stream true"),
    ],
    ids=ids,
)
def test_completions_that_make_no_sense_are_refused(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as raised:
        completion(**fields)
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"input": []}, "input", "at least one text or token"),
        ({"input": ["x"] * 2049}, "input", "at most 2048 in one request, got 2049"),
        ({"input": [["a"]]}, "input[0][0]", "expected int"),
        ({"dimensions": 0}, "dimensions", ">= 1"),
        ({"input_type": "query", "prompt_name": "passage"}, "input_type", "send one of them"),
    ],
    ids=ids,
)
def test_embeddings_that_make_no_sense_are_refused(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as raised:
        embed(**fields)
    assert raised.value.param == param


def test_several_prompts_are_several_requests_in_order() -> None:
    body = decode(b'{"prompt": ["a", "b"], "seed": 1}', CompletionBody)
    assert [(request.prompt, request.seed) for request in body.to_requests()] == [("a", 1), ("b", 1)]
    body = decode(b'{"prompt": [[1, 2], [3]]}', CompletionBody)
    assert [request.prompt for request in body.to_requests()] == [(1, 2), (3,)]


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}])
def test_a_stream_tells_usage_only_when_asked(options: dict[str, bool] | None) -> None:
    assert not chat_body(stream=True, stream_options=options).wants_usage
    assert chat_body(stream=True, stream_options={"include_usage": True}).wants_usage
