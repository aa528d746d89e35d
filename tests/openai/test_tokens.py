"""POST /v1/tokenize and /v1/detokenize."""

import json
from typing import Any

import httpx
import pytest

from clients import outcome, posted, using
from universal_core.errors import BadRequest
from universal_core.http import decode
from universal_core.messages import TokenizeRequest, Tool
from universal_core.openai.tokens import TokenizeBody
from universal_core.testing import chat_request

TURNS = [{"role": "user", "content": "hi"}]
MESSAGES = chat_request("hi", 1).messages
FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
TOOL = Tool(name="f", description="d", parameters={"type": "object"}, strict=True)


def test_a_text_is_turned_into_tokens_and_back() -> None:
    async def use(client: httpx.AsyncClient) -> None:
        answer = (await client.post("/v1/tokenize", json={"model": "echo/a", "text": "hé"})).json()
        assert answer == {"tokens": [0, 104, 233], "count": 3, "model": "echo/a"}
        body = {"model": "echo/a", "tokens": answer["tokens"]}
        assert (await client.post("/v1/detokenize", json=body)).json() == {"text": "\0hé", "model": "echo/a"}
        answer = (await client.post("/v1/detokenize", json={"model": "echo/a", "tokens": []})).json()
        assert answer["text"] == ""

    using(use)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": "ab", "add_special_tokens": False}, {"tokens": [97, 98], "count": 2}),
        ({"prompt": "ab"}, {"tokens": [0, 97, 98], "count": 3}),
        ({"text": "a", "return_token_strs": True}, {"tokens": [0, 97], "count": 2, "token_strs": ["\0", "a"]}),
        ({"text": "", "add_special_tokens": False, "return_token_strs": True}, {"tokens": [], "token_strs": []}),
        ({"messages": TURNS}, {"tokens": [0, 104, 105], "count": 3}),
    ],
)
def test_what_is_tokenized_and_how_is_up_to_the_request(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    answer = posted("/v1/tokenize", {"model": "echo/a", **fields}).json()
    assert {name: answer[name] for name in expected} == expected


def to_request(**fields: Any) -> TokenizeRequest:
    return decode(json.dumps(fields).encode(), TokenizeBody).to_request()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": "a", "user": "me"}, TokenizeRequest(text="a")),
        ({"prompt": "a"}, TokenizeRequest(text="a")),
        ({"text": "a", "add_special_tokens": True}, TokenizeRequest(text="a")),
        ({"text": "a", "add_special_tokens": False}, TokenizeRequest(text="a", add_special=False)),
        ({"text": "a", "return_token_strs": True}, TokenizeRequest(text="a", pieces=True)),
        ({"messages": TURNS}, TokenizeRequest(messages=MESSAGES)),
        (
            {"messages": TURNS, "tools": [{"type": "function", "function": FUNCTION}]},
            TokenizeRequest(messages=MESSAGES, tools=(TOOL,)),
        ),
        (
            {"messages": TURNS, "chat_template_kwargs": {"a": 1}, "add_generation_prompt": False},
            TokenizeRequest(messages=MESSAGES, chat_template_kwargs={"a": 1, "add_generation_prompt": False}),
        ),
        (
            {"messages": TURNS, "continue_final_message": True},
            TokenizeRequest(messages=MESSAGES, chat_template_kwargs={"continue_final_message": True}),
        ),
    ],
)
def test_a_field_arrives_in_the_request(fields: dict[str, Any], expected: TokenizeRequest) -> None:
    assert to_request(**fields) == expected


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({}, "text", "got none of them"),
        ({"text": "a", "prompt": "a"}, "text", "got text and prompt"),
        ({"text": "a", "messages": TURNS}, "text", "got text and messages"),
        ({"messages": []}, "messages", ">= 1"),
        ({"text": ["a"]}, "text", "expected str"),
        ({"messages": TURNS, "add_special_tokens": False}, "add_special_tokens", "only allowed with text"),
        ({"text": "a", "tools": []}, "tools", "only allowed with messages"),
        ({"text": "a", "chat_template_kwargs": {}}, "chat_template_kwargs", "only allowed with messages"),
        ({"text": "a", "add_generation_prompt": True}, "add_generation_prompt", "only allowed with messages"),
        ({"text": "a", "continue_final_message": True}, "continue_final_message", "only allowed with messages"),
        ({"text": "a", "chat_template": "x"}, "chat_template", "unknown field"),
        (
            {
                "messages": TURNS,
                "add_generation_prompt": True,
                "chat_template_kwargs": {"add_generation_prompt": False},
            },
            "add_generation_prompt",
            "differ",
        ),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "required"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as caught:
        to_request(**fields)
    assert caught.value.param == param


def test_what_a_model_cannot_honour_is_refused_before_it_is_loaded() -> None:
    async def use(client: httpx.AsyncClient) -> None:
        image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]
        for fields, param in (
            ({"messages": TURNS, "chat_template_kwargs": {"a": 1}}, "chat_template_kwargs"),
            ({"messages": image}, "messages[0].content[0].image_url"),
        ):
            response = await client.post("/v1/tokenize", json={"model": "echo/a", **fields})
            assert outcome(response) == (400, "unsupported_field", param)
        assert (await client.get("/health")).json()["models"] == []

    using(use)


@pytest.mark.parametrize("tokens", [[-1], ["a"], [0.5], "text", None, [0x110000], [2**40], [2**70]])
def test_tokens_that_are_none_are_refused(tokens: Any) -> None:
    status, code, param = outcome(posted("/v1/detokenize", {"model": "echo/a", "tokens": tokens}))
    assert (status, code) == (400, "invalid_value")
    assert (param or "").startswith("tokens")
